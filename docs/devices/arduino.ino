// A device for Arduino, core 3.x: ArduinoJson 7, PubSubClient 2.8. See ../connect-a-device.md; not yet run on a board.
#include <ArduinoJson.h>
#include <HTTPClient.h>
#include <PubSubClient.h>
#include <Update.h>
#include <WiFi.h>
#include <WiFiClientSecure.h>
#include <mbedtls/sha256.h>
#include <esp_ota_ops.h>
#include "secrets.h"  // from paku-ota device add

#define WIFI_SSID "…"
#define WIFI_PASSWORD "…"
#define FIRMWARE_VERSION "1.2.0"  // upload this build as firmware/1.2.0/esp32-s3.bin
#define STATUS_TOPIC "paku/edge/" DEVICE_ID "/status"
#define OTA_TOPIC "paku/devices/" DEVICE_ID "/ota/"
#define COMMAND_TOPIC "paku/devices/" DEVICE_ID "/cmd/ota"

// Without this the core marks every image valid before setup(), and nothing is ever rolled back.
// With C linkage: under its C++ name the core does not see it.
extern "C" bool verifyRollbackLater() { return true; }

WiFiClientSecure tls;
PubSubClient mqtt(tls);
JsonDocument command;  // the newest one; empty when done

// PubSubClient receives and sends in one buffer: take what is needed, act in loop().
void onCommand(char *, uint8_t *payload, unsigned int length) { deserializeJson(command, payload, length); }

void publish(const char *topic, JsonDocument &message, bool retained = false) {
  String text;
  serializeJson(message, text);
  mqtt.publish(topic, text.c_str(), retained);
}

void sendStatus() {
  JsonDocument status;
  status["firmware_version"] = FIRMWARE_VERSION;
  status["device_model"] = "esp32-s3";
  status["mac"] = WiFi.macAddress();
  status["uptime_seconds"] = millis() / 1000;
  status["signal_strength_dbm"] = WiFi.RSSI();
  publish(STATUS_TOPIC, status, true);
}

bool connect() {
  if (!mqtt.connect(DEVICE_ID, nullptr, nullptr, STATUS_TOPIC, 1, true, "{\"online\":false}")) return false;
  mqtt.subscribe(COMMAND_TOPIC, 1);
  sendStatus();
  esp_ota_mark_app_valid_cancel_rollback();  // this image works: it is connected
  return true;
}

// 0, or the code of what went wrong.
int install(const String &url, const String &checksum) {
  WiFiClient plain;  // the local system serves http
  WiFiClientSecure secure;
  secure.setCACert(CA_CERTIFICATE);
  HTTPClient http;
  http.setTimeout(30000);
  http.setFollowRedirects(HTTPC_STRICT_FOLLOW_REDIRECTS);
  bool begun = url.startsWith("https:") ? http.begin(secure, url) : http.begin(plain, url);
  if (!begun) return 6;
  if (http.GET() != 200 || http.getSize() <= 0) return 2;
  int left = http.getSize();
  if (!Update.begin(left)) return 8;

  mbedtls_sha256_context sha;
  mbedtls_sha256_init(&sha);
  mbedtls_sha256_starts(&sha, 0);
  uint8_t chunk[1024], digest[32];
  while (left > 0) {
    size_t n = http.getStreamPtr()->readBytes(chunk, min(left, (int)sizeof chunk));
    if (n == 0 || Update.write(chunk, n) != n) break;  // nothing for as long as the stream's timeout
    mbedtls_sha256_update(&sha, chunk, n);
    left -= n;
  }
  mbedtls_sha256_finish(&sha, digest);
  mbedtls_sha256_free(&sha);
  http.end();

  char hex[65];
  for (int i = 0; i < 32; i++) sprintf(hex + 2 * i, "%02x", digest[i]);
  if (left == 0 && checksum.equalsIgnoreCase(hex)) return Update.end() ? 0 : 4;
  Update.abort();
  return left > 0 ? 2 : 3;
}

void update() {
  String url = command["url"], checksum = command["checksum"], version = command["version"];
  command.clear();
  JsonDocument accepted, result;
  accepted["status"] = "accepted";
  accepted["version"] = version;
  publish(OTA_TOPIC "status", accepted);
  int code = install(url, checksum);
  result["version"] = version;
  result["success"] = code == 0;
  result["result_code"] = code;
  if (!mqtt.connected()) connect();  // the download may have outlasted the keep-alive
  publish(OTA_TOPIC "result", result);
  if (code != 0) return;
  mqtt.disconnect();
  delay(3000);  // the result goes out before the reboot
  ESP.restart();
}

void setup() {
  WiFi.begin(WIFI_SSID, WIFI_PASSWORD);
  while (WiFi.status() != WL_CONNECTED) delay(100);
  configTime(0, 0, "pool.ntp.org");  // TLS looks at the dates of certificates
  while (time(nullptr) < 1700000000) delay(100);
  tls.setCACert(CA_CERTIFICATE);
  tls.setCertificate(DEVICE_CERTIFICATE);
  tls.setPrivateKey(DEVICE_PRIVATE_KEY);
  mqtt.setServer(MQTT_HOST, MQTT_PORT);
  mqtt.setKeepAlive(60);
  mqtt.setCallback(onCommand);
}

void loop() {
  static unsigned long lastStatus = 0, lastConnected = 0;
  if (mqtt.connected()) lastConnected = millis();
  else if (!connect()) {
    // An image that never connects must reboot: only then does the bootloader go back to the one before.
    if (millis() - lastConnected > 600000) ESP.restart();
    delay(5000);
    return;
  }
  mqtt.loop();
  if (!command.isNull()) update();
  if (millis() - lastStatus > 60000) {
    lastStatus = millis();
    sendStatus();
  }
}
