#include "PubSubClient.h"

#include <unistd.h>

#include "esp_timer.h"

unsigned long millis() { return esp_timer_get_time() / 1000; }
void delay(unsigned long ms) { usleep(ms * 1000); }

enum : uint8_t { CONNECT = 0x10, CONNACK = 0x20, PUBLISH = 0x30, PUBACK = 0x40, SUBSCRIBE = 0x82, PING = 0xc0, DISCONNECT = 0xe0 };
static constexpr unsigned long ANSWER_MS = 15000;
static constexpr int HEADER_BYTES = 5;

static void addNumber(std::vector<uint8_t> &to, uint16_t number) {
  to.push_back(number >> 8);
  to.push_back(number & 0xff);
}

static void addText(std::vector<uint8_t> &to, const char *text) {
  addNumber(to, strlen(text));
  to.insert(to.end(), text, text + strlen(text));
}

PubSubClient &PubSubClient::setServer(const char *name, uint16_t number) {
  host = name;
  port = number;
  return *this;
}

PubSubClient &PubSubClient::setCallback(std::function<void(char *, uint8_t *, unsigned int)> given) {
  callback = given;
  return *this;
}

PubSubClient &PubSubClient::setKeepAlive(uint16_t seconds) {
  keepAlive = seconds;
  return *this;
}

boolean PubSubClient::setBufferSize(uint16_t size) {
  buffer.resize(size);
  return true;
}

boolean PubSubClient::send(uint8_t type, const std::vector<uint8_t> &body) {
  if (HEADER_BYTES + body.size() > buffer.size()) return false;
  std::vector<uint8_t> packet{type};
  for (size_t rest = body.size();;) {
    packet.push_back(rest > 127 ? (rest & 127) | 128 : rest);
    if ((rest >>= 7) == 0) break;
  }
  packet.insert(packet.end(), body.begin(), body.end());
  lastSent = millis();
  return client.write(packet.data(), packet.size()) == packet.size();
}

boolean PubSubClient::connect(const char *id, const char *user, const char *password, const char *willTopic, uint8_t willQos,
                              boolean willRetain, const char *willMessage) {
  if (user != nullptr || password != nullptr) abort();
  if (!client.connect(host, port)) return false;
  std::vector<uint8_t> body;
  addText(body, "MQTT");
  body.push_back(4);
  body.push_back(0x02 | 0x04 | (willQos << 3) | (willRetain ? 0x20 : 0));
  addNumber(body, keepAlive);
  addText(body, id);
  addText(body, willTopic);
  addText(body, willMessage);
  uint8_t type = 0;
  isOpen = send(CONNECT, body) && readPacket(type) == 2 && type == CONNACK && buffer[1] == 0;
  lastReceived = millis();
  pinged = false;
  if (!isOpen) client.stop();
  return isOpen;
}

void PubSubClient::disconnect() {
  send(DISCONNECT, {});
  isOpen = false;
  client.stop();
}

boolean PubSubClient::publish(const char *topic, const char *payload, boolean retained) {
  if (!connected()) return false;
  std::vector<uint8_t> body;
  addText(body, topic);
  body.insert(body.end(), payload, payload + strlen(payload));
  return send(PUBLISH | (retained ? 1 : 0), body);
}

boolean PubSubClient::subscribe(const char *topic, uint8_t qos) {
  if (!connected()) return false;
  std::vector<uint8_t> body;
  addNumber(body, ++nextId);
  addText(body, topic);
  body.push_back(qos);
  return send(SUBSCRIBE, body);
}

boolean PubSubClient::connected() {
  if (isOpen && !client.connected()) {
    isOpen = false;
    client.stop();
  }
  return isOpen;
}

int PubSubClient::readByte() {
  for (unsigned long start = millis(); !client.available();) {
    if (!client.connected() || millis() - start > ANSWER_MS) return -1;
    delay(1);
  }
  return client.read();
}

// The length of the packet's body, which is in the buffer as far as it fits; -1 when the connection is over.
int PubSubClient::readPacket(uint8_t &type) {
  int first = readByte(), length = 0;
  if (first < 0) return -1;
  type = first;
  for (int shift = 0;; shift += 7) {
    int byte = readByte();
    if (byte < 0) return -1;
    length |= (byte & 127) << shift;
    if (byte < 128) break;
  }
  for (int at = 0; at < length; at++) {
    int byte = readByte();
    if (byte < 0) return -1;
    if (at < (int)buffer.size()) buffer[at] = byte;
  }
  return length;
}

void PubSubClient::handlePublish(uint8_t type, int length) {
  if (HEADER_BYTES + length > (int)buffer.size()) return;
  int topicLength = buffer[0] << 8 | buffer[1], at = 2 + topicLength;
  std::string topic(buffer.begin() + 2, buffer.begin() + at);
  std::vector<uint8_t> id;
  if (type & 0x06) {
    id.assign(buffer.begin() + at, buffer.begin() + at + 2);
    at += 2;
  }
  if (callback) callback(topic.data(), buffer.data() + at, length - at);
  if (!id.empty()) send(PUBACK, id);
}

boolean PubSubClient::loop() {
  if (!connected()) return false;
  const unsigned long now = millis(), limit = keepAlive * 1000UL;
  if (now - lastReceived > limit || now - lastSent > limit) {
    if (pinged) {
      isOpen = false;
      client.stop();
      return false;
    }
    pinged = send(PING, {});
    lastReceived = now;
  }
  if (!client.available()) return true;
  uint8_t type = 0;
  int length = readPacket(type);
  lastReceived = millis();
  pinged = false;
  if (length >= 0 && (type & 0xf0) == PUBLISH) handlePublish(type, length);
  return connected();
}
