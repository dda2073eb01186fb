// A device for ESP-IDF 5 and 6, without its Wi-Fi. See ../connect-a-device.md. Beside it: paku_ota.h and paku_ota.c.
#include <stdio.h>
#include <stdlib.h>

#include "esp_app_desc.h"
#include "esp_ota_ops.h"
#include "esp_system.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "mqtt_client.h"
#include "paku_ota.h"

#ifndef DEVICE_ID  // or give all four with -D
#define DEVICE_ID "ESP32-20E955A0"
#define MQTT_URI "mqtts://<host that device add printed>:8883"
#define DEVICE_MODEL "esp32-s3"
#define STATUS_SECONDS 60
#endif
#define STATUS_TOPIC "paku/edge/" DEVICE_ID "/status"
#define OTA_TOPIC "paku/devices/" DEVICE_ID "/ota/"
#define COMMAND_TOPIC "paku/devices/" DEVICE_ID "/cmd/ota"

// EMBED_TXTFILES in main/CMakeLists.txt, from the folder that paku-ota device add names
extern const char ca[] asm("_binary_ca_pem_start");
extern const char certificate[] asm("_binary_certificate_pem_start");
extern const char private_key[] asm("_binary_private_key_pem_start");

void start_network(void);  // yours: starts Wi-Fi or Ethernet, which connects again by itself

static esp_mqtt_client_handle_t mqtt;
static volatile bool is_connected, is_updating;

static void send_status(void) {
  char text[256];
  snprintf(text, sizeof text,
           "{\"firmware_version\":\"%s\",\"device_model\":\"%s\",\"uptime_seconds\":%ld,\"reset_reason\":\"%s\"}",
           esp_app_get_description()->version, DEVICE_MODEL, paku_ota_uptime(), paku_ota_reset_reason());
  esp_mqtt_client_publish(mqtt, STATUS_TOPIC, text, 0, 0, true);
}

static void send_progress(int percent) {
  static long last = -1;
  if (paku_ota_uptime() == last) return;
  last = paku_ota_uptime();
  char text[64];
  snprintf(text, sizeof text, "{\"state\":\"Downloading\",\"percent\":%d}", percent);
  if (is_connected) esp_mqtt_client_publish(mqtt, OTA_TOPIC "progress", text, 0, 0, false);
}

static void update(void *argument) {
  paku_command_t *command = argument;
  char text[128];
  snprintf(text, sizeof text, "{\"status\":\"accepted\",\"version\":\"%s\"}", command->version);
  esp_mqtt_client_publish(mqtt, OTA_TOPIC "status", text, 0, 1, false);
  int code = paku_ota_install(command, ca, send_progress);
  snprintf(text, sizeof text, "{\"version\":\"%s\",\"success\":%s,\"result_code\":%d}", command->version,
           code == PAKU_SUCCESS ? "true" : "false", code);
  // QoS 1: the client keeps the message, and sends it after a lost connection.
  esp_mqtt_client_publish(mqtt, OTA_TOPIC "result", text, 0, 1, false);
  free(command);
  vTaskDelay(pdMS_TO_TICKS(3000));  // the result goes out before the restart
  if (code == PAKU_SUCCESS) esp_restart();
  is_updating = false;
  vTaskDelete(NULL);
}

// A handler must not block: the download runs in a task of its own.
static void start_update(const char *json, int length) {
  paku_command_t *command = malloc(sizeof *command);
  if (command == NULL) return;
  is_updating = paku_ota_read_command(json, (size_t)length, command) &&
                xTaskCreate(update, "update", 8192, command, 5, NULL) == pdPASS;
  if (!is_updating) free(command);
}

static void on_event(void *argument, esp_event_base_t base, int32_t id, void *data) {
  (void)argument;
  (void)base;
  esp_mqtt_event_handle_t event = data;
  if (id == MQTT_EVENT_DISCONNECTED) is_connected = false;
  if (id == MQTT_EVENT_CONNECTED) {
    is_connected = true;
    esp_mqtt_client_subscribe(mqtt, COMMAND_TOPIC, 1);
    send_status();
  }
  // Nothing else is subscribed to. A command that is cut does not fit the client's buffer of 1,024 bytes.
  if (id == MQTT_EVENT_DATA && !is_updating && event->data_len == event->total_data_len)
    start_update(event->data, event->data_len);
}

void app_main(void) {
  paku_ota_begin();  // first
  start_network();
  const esp_mqtt_client_config_t config = {
      .broker.address.uri = MQTT_URI,
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
  for (long second = 1;; second++) {
    vTaskDelay(pdMS_TO_TICKS(1000));
    if (!is_connected) continue;
    paku_ota_connected();
    if (second % STATUS_SECONDS == 0) send_status();
  }
}
