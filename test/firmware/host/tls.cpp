#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>

#include "WiFiClientSecure.h"

struct WiFiClientSecure::Session {
  mbedtls_net_context net;
  mbedtls_ssl_context ssl;
  mbedtls_ssl_config config;
  mbedtls_x509_crt ca, certificate;
  mbedtls_pk_context key;
  mbedtls_entropy_context entropy;
  mbedtls_ctr_drbg_context random;
  bool open = false;
  int peeked = -1;

  Session() {
    mbedtls_net_init(&net);
    mbedtls_ssl_init(&ssl);
    mbedtls_ssl_config_init(&config);
    mbedtls_x509_crt_init(&ca);
    mbedtls_x509_crt_init(&certificate);
    mbedtls_pk_init(&key);
    mbedtls_entropy_init(&entropy);
    mbedtls_ctr_drbg_init(&random);
  }
  ~Session() {
    mbedtls_net_free(&net);
    mbedtls_ssl_free(&ssl);
    mbedtls_ssl_config_free(&config);
    mbedtls_x509_crt_free(&ca);
    mbedtls_x509_crt_free(&certificate);
    mbedtls_pk_free(&key);
    mbedtls_ctr_drbg_free(&random);
    mbedtls_entropy_free(&entropy);
  }

  // False when the connection is over.
  bool peek() {
    if (!open || peeked >= 0) return open;
    uint8_t byte;
    int n = mbedtls_ssl_read(&ssl, &byte, 1);
    if (n == 1) peeked = byte;
    else if (n != MBEDTLS_ERR_SSL_WANT_READ && n != MBEDTLS_ERR_SSL_WANT_WRITE) open = false;
    return open;
  }
};

WiFiClientSecure::WiFiClientSecure() = default;
WiFiClientSecure::~WiFiClientSecure() = default;

static const unsigned char *bytesOf(const char *pem) { return reinterpret_cast<const unsigned char *>(pem); }

static bool handshake(mbedtls_ssl_context *ssl) {
  int result;
  do result = mbedtls_ssl_handshake(ssl);
  while (result == MBEDTLS_ERR_SSL_WANT_READ || result == MBEDTLS_ERR_SSL_WANT_WRITE);
  if (result != 0) fprintf(stderr, "TLS: -0x%x, verification %x\n", -result, mbedtls_ssl_get_verify_result(ssl));
  return result == 0;
}

int WiFiClientSecure::connect(const char *host, uint16_t port) {
  session = std::make_unique<Session>();
  Session &s = *session;
  if (mbedtls_ctr_drbg_seed(&s.random, mbedtls_entropy_func, &s.entropy, nullptr, 0) != 0 ||
      mbedtls_x509_crt_parse(&s.ca, bytesOf(ca), strlen(ca) + 1) != 0 ||
      mbedtls_x509_crt_parse(&s.certificate, bytesOf(certificate), strlen(certificate) + 1) != 0 ||
      mbedtls_pk_parse_key(&s.key, bytesOf(key), strlen(key) + 1, nullptr, 0) != 0 ||
      mbedtls_net_connect(&s.net, host, std::to_string(port).c_str(), MBEDTLS_NET_PROTO_TCP) != 0)
    return 0;
  mbedtls_ssl_config_defaults(&s.config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
  mbedtls_ssl_conf_authmode(&s.config, MBEDTLS_SSL_VERIFY_REQUIRED);
  mbedtls_ssl_conf_ca_chain(&s.config, &s.ca, nullptr);
  mbedtls_ssl_conf_own_cert(&s.config, &s.certificate, &s.key);
  mbedtls_ssl_conf_rng(&s.config, mbedtls_ctr_drbg_random, &s.random);
  if (mbedtls_ssl_setup(&s.ssl, &s.config) != 0 || mbedtls_ssl_set_hostname(&s.ssl, host) != 0) return 0;
  mbedtls_ssl_set_bio(&s.ssl, &s.net, mbedtls_net_send, mbedtls_net_recv, nullptr);
  s.open = handshake(&s.ssl);
  mbedtls_net_set_nonblock(&s.net);
  return s.open;
}

size_t WiFiClientSecure::write(const uint8_t *bytes, size_t size) {
  if (session == nullptr || !session->open) return 0;
  for (size_t done = 0; done < size;) {
    int n = mbedtls_ssl_write(&session->ssl, bytes + done, size - done);
    if (n > 0) done += n;
    else if (n != MBEDTLS_ERR_SSL_WANT_READ && n != MBEDTLS_ERR_SSL_WANT_WRITE) {
      session->open = false;
      return 0;
    }
  }
  return size;
}

int WiFiClientSecure::available() { return session != nullptr && session->peek() && session->peeked >= 0; }

int WiFiClientSecure::read() {
  if (!available()) return -1;
  int byte = session->peeked;
  session->peeked = -1;
  return byte;
}

void WiFiClientSecure::stop() {
  if (session != nullptr && session->open) mbedtls_ssl_close_notify(&session->ssl);
  session.reset();
}

uint8_t WiFiClientSecure::connected() { return session != nullptr && session->peek(); }
