// A whole device for the Arduino core of the ESP32 (2.x and 3.x), with PubSubClient 2.8. See ../connect-a-device.md.
// Beside it: paku_ota.h, paku_ota.c, and secrets.h from `paku-ota device add`.
#include <PubSubClient.h>
#include <WiFi.h>
#include <WiFiClientSecure.h>

#include "paku_ota.h"
#include "secrets.h"

#ifndef FIRMWARE_VERSION  // or give all five with -D
#define FIRMWARE_VERSION "1.2.0"  // upload this build as firmware/1.2.0/esp32-s3.bin
#define DEVICE_MODEL "esp32-s3"
#define WIFI_SSID "…"
#define WIFI_PASSWORD "…"
#define STATUS_SECONDS 60
#endif
#define STATUS_TOPIC "paku/edge/" DEVICE_ID "/status"
#define OTA_TOPIC "paku/devices/" DEVICE_ID "/ota/"
#define COMMAND_TOPIC "paku/devices/" DEVICE_ID "/cmd/ota"
#define RETRY_MS 5000

WiFiClientSecure tls;
PubSubClient mqtt(tls);
paku_command_t command;  // the newest one
bool hasCommand = false;

// PubSubClient receives and sends in one buffer: take what is needed, act in loop().
void onCommand(char *, uint8_t *payload, unsigned int length) {
  hasCommand = paku_ota_read_command((const char *)payload, length, &command);
}

bool publish(const char *topic, const char *text, bool retained = false) {
  bool sent = mqtt.publish(topic, text, retained);
  // False also if the packet does not fit the buffer, which PubSubClient says in no other way.
  if (!sent) Serial.printf("not sent to %s: %s\n", topic, text);
  return sent;
}

void sendStatus() {
  char text[256];
  snprintf(text, sizeof text,
           "{\"firmware_version\":\"%s\",\"device_model\":\"%s\",\"mac\":\"%s\",\"uptime_seconds\":%ld,"
           "\"reset_reason\":\"%s\",\"signal_strength_dbm\":%d}",
           FIRMWARE_VERSION, DEVICE_MODEL, WiFi.macAddress().c_str(), paku_ota_uptime(), paku_ota_reset_reason(),
           (int)WiFi.RSSI());
  publish(STATUS_TOPIC, text, true);
}

bool connect() {
  if (WiFi.status() != WL_CONNECTED) return false;
  if (!mqtt.connect(DEVICE_ID, nullptr, nullptr, STATUS_TOPIC, 1, true, "{\"online\":false}")) return false;
  mqtt.subscribe(COMMAND_TOPIC, 1);
  sendStatus();
  return true;
}

void onProgress(int percent) {
  static unsigned long last = 0;
  mqtt.loop();  // a long download must not outlast the keep-alive
  if (!mqtt.connected() || millis() - last < 1000) return;
  last = millis();
  paku_ota_connected();
  char text[64];
  snprintf(text, sizeof text, "{\"state\":\"Downloading\",\"percent\":%d}", percent);
  publish(OTA_TOPIC "progress", text);
}

void update() {
  const paku_command_t given = command;  // a second one may arrive during the download
  hasCommand = false;
  char text[128];
  snprintf(text, sizeof text, "{\"status\":\"accepted\",\"version\":\"%s\"}", given.version);
  publish(OTA_TOPIC "status", text);
  int code = paku_ota_install(&given, CA_CERTIFICATE, onProgress);
  snprintf(text, sizeof text, "{\"version\":\"%s\",\"success\":%s,\"result_code\":%d}", given.version,
           code == PAKU_SUCCESS ? "true" : "false", code);
  for (int tries = 0; !mqtt.connected() && tries < 3 && !connect(); tries++) delay(RETRY_MS);
  publish(OTA_TOPIC "result", text);
  hasCommand = false;  // the service sends again what is still wanted
  if (code != PAKU_SUCCESS) return;
  mqtt.disconnect();
  delay(1000);  // the result goes out before the restart
  ESP.restart();
}

// Nothing here or in loop() waits for the network. What never comes is ended by the timer of paku_ota_begin().
void setup() {
  Serial.begin(115200);
  paku_ota_begin();  // first
  WiFi.mode(WIFI_STA);
  WiFi.begin(WIFI_SSID, WIFI_PASSWORD);
  configTime(0, 0, "pool.ntp.org");  // for builds whose TLS looks at the dates of certificates
  tls.setCACert(CA_CERTIFICATE);
  tls.setCertificate(DEVICE_CERTIFICATE);
  tls.setPrivateKey(DEVICE_PRIVATE_KEY);
  mqtt.setServer(MQTT_HOST, MQTT_PORT);
  mqtt.setKeepAlive(60);
  mqtt.setBufferSize(512);  // the default of 256 bytes is too small for this status
  mqtt.setCallback(onCommand);
}

void loop() {
  static unsigned long lastStatus = 0, lastTry = 0;
  delay(10);
  if (!mqtt.connected()) {
    if (lastTry != 0 && millis() - lastTry < RETRY_MS) return;
    lastTry = millis() | 1;
    if (!connect()) return;
    lastStatus = millis();
  }
  paku_ota_connected();
  mqtt.loop();
  if (hasCommand) update();
  if (millis() - lastStatus >= STATUS_SECONDS * 1000UL) {
    lastStatus = millis();
    sendStatus();
  }
}
