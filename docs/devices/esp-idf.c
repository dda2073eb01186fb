// A device for ESP-IDF 5, without its Wi-Fi. See ../connect-a-device.md; not yet run on a board.
#include <string.h>
#include "cJSON.h"
#include "esp_app_desc.h"
#include "esp_crt_bundle.h"
#include "esp_http_client.h"
#include "esp_ota_ops.h"
#include "esp_system.h"
#include "esp_timer.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "mbedtls/sha256.h"
#include "mqtt_client.h"

#define DEVICE_ID "ESP32-20E955A0"
#define STATUS_TOPIC "paku/edge/" DEVICE_ID "/status"
#define OTA_TOPIC "paku/devices/" DEVICE_ID "/ota/"
#define COMMAND_TOPIC "paku/devices/" DEVICE_ID "/cmd/ota"

// EMBED_TXTFILES in main/CMakeLists.txt, from the folder that paku-ota device add names
extern const char ca[] asm("_binary_ca_pem_start");
extern const char certificate[] asm("_binary_certificate_pem_start");
extern const char private_key[] asm("_binary_private_key_pem_start");

static esp_mqtt_client_handle_t mqtt;
static volatile bool was_connected, is_updating;

static void send_status(void) {
  char text[200];
  snprintf(text, sizeof text, "{\"firmware_version\":\"%s\",\"device_model\":\"esp32-s3\",\"uptime_seconds\":%lld}",
           esp_app_get_description()->version, esp_timer_get_time() / 1000000);
  esp_mqtt_client_publish(mqtt, STATUS_TOPIC, text, 0, 0, true);
}

static int open_following_redirects(esp_http_client_handle_t http) {
  for (int hop = 0; hop < 10; hop++) {
    if (esp_http_client_open(http, 0) != ESP_OK) return -1;
    int length = esp_http_client_fetch_headers(http);
    int status = esp_http_client_get_status_code(http);
    if (status == 200) return length;
    if (status != 302 || esp_http_client_set_redirection(http) != ESP_OK) return -1;
    esp_http_client_close(http);
  }
  return -1;
}

// 0, or the code of what went wrong.
static int install(esp_http_client_handle_t http, const char *checksum) {
  static char chunk[4096];
  const esp_partition_t *partition = esp_ota_get_next_update_partition(NULL);
  int left = open_following_redirects(http);
  if (left <= 0) return 2;
  if (partition == NULL) return 5;
  if (left > partition->size) return 8;
  esp_ota_handle_t ota;
  if (esp_ota_begin(partition, left, &ota) != ESP_OK) return 4;

  mbedtls_sha256_context sha;
  mbedtls_sha256_init(&sha);
  mbedtls_sha256_starts(&sha, 0);
  while (left > 0) {
    int n = esp_http_client_read(http, chunk, sizeof chunk);
    if (n <= 0 || esp_ota_write(ota, chunk, n) != ESP_OK) break;
    mbedtls_sha256_update(&sha, (unsigned char *)chunk, n);
    left -= n;
  }
  unsigned char digest[32];
  char hex[65];
  mbedtls_sha256_finish(&sha, digest);
  mbedtls_sha256_free(&sha);
  for (int i = 0; i < 32; i++) sprintf(hex + 2 * i, "%02x", digest[i]);
  if (left > 0 || strcmp(hex, checksum) != 0) {
    esp_ota_abort(ota);
    return left > 0 ? 2 : 3;
  }
  if (esp_ota_end(ota) != ESP_OK) return 9;  // looks at the image once more
  return esp_ota_set_boot_partition(partition) == ESP_OK ? 0 : 4;
}

static void update(void *argument) {
  cJSON *command = argument;
  const char *version = cJSON_GetStringValue(cJSON_GetObjectItem(command, "version"));
  const char *checksum = cJSON_GetStringValue(cJSON_GetObjectItem(command, "checksum"));
  char text[160];
  snprintf(text, sizeof text, "{\"status\":\"accepted\",\"version\":\"%s\"}", version);
  esp_mqtt_client_publish(mqtt, OTA_TOPIC "status", text, 0, 1, false);
  esp_http_client_config_t config = {
    .url = cJSON_GetStringValue(cJSON_GetObjectItem(command, "url")),
    .crt_bundle_attach = esp_crt_bundle_attach,
    .buffer_size = 4096,     // the Location that the link redirects to is longer than the default of 512
    .buffer_size_tx = 4096,  // and is sent back as the path
    .timeout_ms = 30000,
  };
  esp_http_client_handle_t http = esp_http_client_init(&config);
  int code = http == NULL ? 6 : install(http, checksum);
  if (http != NULL) esp_http_client_cleanup(http);
  snprintf(text, sizeof text, "{\"version\":\"%s\",\"success\":%s,\"result_code\":%d}", version,
           code == 0 ? "true" : "false", code);
  esp_mqtt_client_publish(mqtt, OTA_TOPIC "result", text, 0, 1, false);
  cJSON_Delete(command);
  vTaskDelay(pdMS_TO_TICKS(3000));  // the result goes out before the reboot
  if (code == 0) esp_restart();
  is_updating = false;
  vTaskDelete(NULL);
}

static void on_event(void *arg, esp_event_base_t base, int32_t id, void *data) {
  esp_mqtt_event_handle_t event = data;
  if (id == MQTT_EVENT_CONNECTED) {
    esp_mqtt_client_subscribe(mqtt, COMMAND_TOPIC, 1);
    send_status();
    was_connected = true;
    esp_ota_mark_app_valid_cancel_rollback();  // this image works: it is connected
  }
  if (id == MQTT_EVENT_DATA && !is_updating) {  // nothing else is subscribed to
    cJSON *command = cJSON_ParseWithLength(event->data, event->data_len);
    if (command == NULL) return;
    is_updating = true;
    xTaskCreate(update, "update", 8192, command, 5, NULL);  // never within the handler
  }
}

void run_updates(void) {  // once there is a network and the clock is right
  esp_mqtt_client_config_t config = {
    .broker.address.uri = "mqtts://MQTT_HOST:8883",
    .broker.verification.certificate = ca,
    .credentials.client_id = DEVICE_ID,
    .credentials.authentication.certificate = certificate,
    .credentials.authentication.key = private_key,
    .session.keepalive = 60,
    .session.last_will = {.topic = STATUS_TOPIC, .msg = "{\"online\":false}", .qos = 1, .retain = true},
  };
  mqtt = esp_mqtt_client_init(&config);
  esp_mqtt_client_register_event(mqtt, ESP_EVENT_ANY_ID, on_event, NULL);
  esp_mqtt_client_start(mqtt);
  for (;;) {
    vTaskDelay(pdMS_TO_TICKS(60000));
    send_status();
    // An image that never connects must reboot: only then does the bootloader go back to the one before.
    if (!was_connected && esp_timer_get_time() > 600000000) esp_restart();
  }
}
