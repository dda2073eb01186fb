#pragma once
#include <memory>

#include "Client.h"

// TLS with mbedTLS. A server is refused unless a CA vouches for it and its certificate names the host.
class WiFiClientSecure : public Client {
 public:
  WiFiClientSecure();
  ~WiFiClientSecure() override;
  void setCACert(const char *pem) { ca = pem; }
  void setCertificate(const char *pem) { certificate = pem; }
  void setPrivateKey(const char *pem) { key = pem; }
  int connect(const char *host, uint16_t port) override;
  size_t write(const uint8_t *bytes, size_t size) override;
  int available() override;
  int read() override;
  void stop() override;
  uint8_t connected() override;

 private:
  struct Session;
  std::unique_ptr<Session> session;
  const char *ca = nullptr, *certificate = nullptr, *key = nullptr;
};
