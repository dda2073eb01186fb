// esp_http_client for http: URLs. The path and the headers must fit the buffers, as in the genuine one.
#include "esp_http_client.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define DEFAULT_BUFFER 512

struct esp_http_client {
  esp_http_client_config_t config;
  char host[256], port[8];
  char *path;
  int socket, status;
  int64_t left;
};

static int buffer_of(int configured) { return configured > 0 ? configured : DEFAULT_BUFFER; }

esp_http_client_handle_t esp_http_client_init(const esp_http_client_config_t *config) {
  esp_http_client_handle_t client = calloc(1, sizeof *client);
  client->config = *config;
  client->socket = -1;
  int begins = 0;
  strcpy(client->port, "80");
  if (sscanf(config->url, "http://%255[^:/]%n", client->host, &begins) != 1) {
    free(client);
    return NULL;
  }
  const char *rest = config->url + begins;
  if (*rest == ':' && sscanf(rest, ":%7[0-9]", client->port) == 1) rest += 1 + strlen(client->port);
  client->path = strdup(*rest == '/' ? rest : "/");
  return client;
}

static int connect_to(esp_http_client_handle_t client) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
  struct timeval timeout = {client->config.timeout_ms / 1000, client->config.timeout_ms % 1000 * 1000};
  if (getaddrinfo(client->host, client->port, &hints, &found) != 0) return -1;
  int fd = -1;
  for (struct addrinfo *at = found; at != NULL && fd < 0; at = at->ai_next) {
    fd = socket(at->ai_family, at->ai_socktype, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    if (connect(fd, at->ai_addr, at->ai_addrlen) == 0) break;
    close(fd);
    fd = -1;
  }
  freeaddrinfo(found);
  return fd;
}

esp_err_t esp_http_client_open(esp_http_client_handle_t client, int write_len) {
  (void)write_len;
  int size = buffer_of(client->config.buffer_size_tx);
  char *request = malloc((size_t)size);
  int length = snprintf(request, (size_t)size, "GET %s HTTP/1.1\r\nHost: %s:%s\r\nConnection: close\r\n\r\n", client->path,
                        client->host, client->port);
  client->socket = length < size ? connect_to(client) : -1;
  int sent = client->socket < 0 ? -1 : (int)send(client->socket, request, (size_t)length, MSG_NOSIGNAL);
  free(request);
  return sent == length ? ESP_OK : ESP_FAIL;
}

static int read_line(esp_http_client_handle_t client, char *line, int size) {
  int at = 0;
  while (at < size - 1) {
    if (recv(client->socket, line + at, 1, 0) != 1) return -1;
    if (line[at] == '\n') break;
    at++;
  }
  if (at == size - 1) return -1;  // longer than the buffer
  if (at > 0 && line[at - 1] == '\r') at--;
  line[at] = '\0';
  return at;
}

static void take_header(esp_http_client_handle_t client, char *line) {
  char *value = strchr(line, ':');
  if (value == NULL) return;
  *value++ = '\0';
  while (*value == ' ') value++;
  if (strcasecmp(line, "Content-Length") == 0) client->left = atoll(value);
  esp_http_client_event_t event = {HTTP_EVENT_ON_HEADER, client->config.user_data, line, value};
  if (client->config.event_handler != NULL) client->config.event_handler(&event);
}

int64_t esp_http_client_fetch_headers(esp_http_client_handle_t client) {
  int size = buffer_of(client->config.buffer_size), length;
  char *line = malloc((size_t)size);
  if (read_line(client, line, size) < 0 || sscanf(line, "HTTP/1.%*d %d", &client->status) != 1) length = -1;
  else
    while ((length = read_line(client, line, size)) > 0) take_header(client, line);
  free(line);
  return length < 0 ? -1 : client->left;
}

int esp_http_client_get_status_code(esp_http_client_handle_t client) { return client->status; }

int esp_http_client_read(esp_http_client_handle_t client, char *buffer, int len) {
  if (len > client->left) len = (int)client->left;
  int n = (int)recv(client->socket, buffer, (size_t)len, 0);
  if (n > 0) client->left -= n;
  return n;
}

esp_err_t esp_http_client_cleanup(esp_http_client_handle_t client) {
  if (client->socket >= 0) close(client->socket);
  free(client->path);
  free(client);
  return ESP_OK;
}
