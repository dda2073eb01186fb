#pragma once
#include <functional>
#include <vector>

#include "Client.h"

// MQTT 3.1.1 as far as the sketch uses PubSubClient 2.8, with its limits: one buffer for both directions, 256 bytes by
// default; what does not fit is not sent, or dropped.
class PubSubClient {
 public:
  explicit PubSubClient(Client &client) : client(client), buffer(256) {}
  PubSubClient &setServer(const char *host, uint16_t port);
  PubSubClient &setCallback(std::function<void(char *, uint8_t *, unsigned int)> callback);
  PubSubClient &setKeepAlive(uint16_t seconds);
  boolean setBufferSize(uint16_t size);
  boolean connect(const char *id, const char *user, const char *password, const char *willTopic, uint8_t willQos,
                  boolean willRetain, const char *willMessage);
  void disconnect();
  boolean publish(const char *topic, const char *payload, boolean retained);
  boolean subscribe(const char *topic, uint8_t qos);
  boolean loop();
  boolean connected();

 private:
  boolean send(uint8_t type, const std::vector<uint8_t> &body);
  int readByte();
  int readPacket(uint8_t &type);
  void handlePublish(uint8_t type, int length);

  Client &client;
  std::vector<uint8_t> buffer;
  std::function<void(char *, uint8_t *, unsigned int)> callback;
  const char *host = nullptr;
  uint16_t port = 0, keepAlive = 15, nextId = 0;
  unsigned long lastSent = 0, lastReceived = 0;
  bool isOpen = false, pinged = false;
};
