// ESP-IDF's MQTT client on top of the sketch's: a task that connects, and connects again.
#include "mqtt_client.h"

#include <mutex>
#include <thread>

#include "PubSubClient.h"
#include "WiFiClientSecure.h"

static constexpr int BUFFER_BYTES = 1024;
static constexpr int RECONNECT_MS = 2000;

struct esp_mqtt_client {
  esp_mqtt_client_config_t config;
  std::string host;
  int port = 0;
  WiFiClientSecure tls;
  PubSubClient mqtt{tls};
  esp_event_handler_t handler = nullptr;
  void *argument = nullptr;
  std::recursive_mutex lock;

  void tell(esp_mqtt_event_id_t id, esp_mqtt_event_t event = {}) { handler(argument, "MQTT_EVENTS", id, &event); }
  bool connect() {
    const auto &will = config.session.last_will;
    return mqtt.connect(config.credentials.client_id, nullptr, nullptr, will.topic, will.qos, will.retain, will.msg);
  }
  void run();
};

void esp_mqtt_client::run() {
  for (bool was = false;; delay(5)) {
    std::unique_lock<std::recursive_mutex> hold(lock);
    bool is = mqtt.connected();
    if (was && !is) tell(MQTT_EVENT_DISCONNECTED);
    was = is;
    if (is) {
      mqtt.loop();
      continue;
    }
    if (connect()) tell(MQTT_EVENT_CONNECTED);
    was = mqtt.connected();
    hold.unlock();
    if (!was) delay(RECONNECT_MS);
  }
}

esp_mqtt_client_handle_t esp_mqtt_client_init(const esp_mqtt_client_config_t *config) {
  auto *client = new esp_mqtt_client;
  client->config = *config;
  char host[256];
  if (sscanf(config->broker.address.uri, "mqtts://%255[^:]:%d", host, &client->port) != 2) return nullptr;
  client->host = host;
  client->tls.setCACert(config->broker.verification.certificate);
  client->tls.setCertificate(config->credentials.authentication.certificate);
  client->tls.setPrivateKey(config->credentials.authentication.key);
  client->mqtt.setServer(client->host.c_str(), client->port);
  client->mqtt.setKeepAlive(config->session.keepalive);
  client->mqtt.setBufferSize(BUFFER_BYTES);
  client->mqtt.setCallback([client](char *, uint8_t *payload, unsigned int length) {
    client->tell(MQTT_EVENT_DATA, {reinterpret_cast<char *>(payload), (int)length, (int)length});
  });
  return client;
}

esp_err_t esp_mqtt_client_register_event(esp_mqtt_client_handle_t client, esp_mqtt_event_id_t, esp_event_handler_t handler,
                                         void *argument) {
  client->handler = handler;
  client->argument = argument;
  return ESP_OK;
}

esp_err_t esp_mqtt_client_start(esp_mqtt_client_handle_t client) {
  std::thread([client] { client->run(); }).detach();
  return ESP_OK;
}

int esp_mqtt_client_publish(esp_mqtt_client_handle_t client, const char *topic, const char *data, int, int, int retain) {
  std::lock_guard<std::recursive_mutex> hold(client->lock);
  return client->mqtt.publish(topic, data, retain) ? 1 : -1;
}

int esp_mqtt_client_subscribe(esp_mqtt_client_handle_t client, const char *topic, int qos) {
  std::lock_guard<std::recursive_mutex> hold(client->lock);
  return client->mqtt.subscribe(topic, qos) ? 1 : -1;
}
