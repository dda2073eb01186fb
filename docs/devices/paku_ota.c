#include "paku_ota.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cJSON.h"
#include "esp_http_client.h"
#include "esp_idf_version.h"
#include "esp_ota_ops.h"
#include "esp_system.h"
#include "esp_timer.h"

// mbedTLS 4, which comes with ESP-IDF 6, has hashes behind PSA only.
#if ESP_IDF_VERSION_MAJOR >= 6
#include "psa/crypto.h"
#else
#include "mbedtls/md.h"
#endif

#ifdef ARDUINO
// Arduino's core asks this function before setup(). If it returns false, as the core's own weak definition does, the core
// marks every new image valid at once: an image that crashes or never connects would stay for ever. True leaves the
// decision to paku_ota_connected(). It stands here because the linker takes it only from an object file that it needs
// anyway, and in C because in C++ its name would be another one (there: extern "C").
bool verifyRollbackLater(void);
bool verifyRollbackLater(void) { return true; }
#endif

#define MAX_REDIRECTS 5
#define HTTP_TIMEOUT_MS 30000
// The Location that a link answers with has up to 3 KB, and comes back as the path of the next request.
#define HTTP_BUFFER 4096

static volatile bool on_trial;
static volatile long last_connected;

long paku_ota_uptime(void) { return (long)(esp_timer_get_time() / 1000000); }

bool paku_ota_on_trial(void) { return on_trial; }

static void restart_if_offline(void *unused) {
  (void)unused;
  long limit = on_trial ? PAKU_TRIAL_SECONDS : PAKU_OFFLINE_SECONDS;
  if (paku_ota_uptime() - last_connected >= limit) esp_restart();
}

void paku_ota_begin(void) {
  esp_ota_img_states_t state;
  on_trial = esp_ota_get_state_partition(esp_ota_get_running_partition(), &state) == ESP_OK &&
             state == ESP_OTA_IMG_PENDING_VERIFY;
  last_connected = paku_ota_uptime();
  // The timer has a task of its own, so that it also ends a program that hangs in setup() or in a driver.
  static esp_timer_handle_t timer;
  const esp_timer_create_args_t args = {.callback = restart_if_offline, .name = "paku_ota"};
  if (esp_timer_create(&args, &timer) != ESP_OK || esp_timer_start_periodic(timer, 1000000) != ESP_OK) abort();
}

void paku_ota_connected(void) {
  last_connected = paku_ota_uptime();
  if (!on_trial || last_connected < PAKU_VALID_SECONDS) return;
  if (esp_ota_mark_app_valid_cancel_rollback() == ESP_OK) on_trial = false;
}

static bool copy_field(const cJSON *object, const char *name, char *to, size_t size) {
  const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
  if (text == NULL || text[0] == '\0' || strlen(text) >= size) return false;
  strcpy(to, text);
  return true;
}

bool paku_ota_read_command(const char *json, size_t length, paku_command_t *command) {
  cJSON *object = cJSON_ParseWithLength(json, length);
  bool complete = copy_field(object, "url", command->url, sizeof command->url) &&
                  copy_field(object, "checksum", command->checksum, sizeof command->checksum) &&
                  copy_field(object, "version", command->version, sizeof command->version) &&
                  strlen(command->checksum) == sizeof command->checksum - 1;
  cJSON_Delete(object);
  return complete;
}

// ---- SHA-256

#if ESP_IDF_VERSION_MAJOR >= 6
typedef psa_hash_operation_t hash_t;
static bool hash_begin(hash_t *hash) {
  *hash = psa_hash_operation_init();
  return psa_crypto_init() == PSA_SUCCESS && psa_hash_setup(hash, PSA_ALG_SHA_256) == PSA_SUCCESS;
}
static bool hash_add(hash_t *hash, const void *bytes, size_t length) {
  return psa_hash_update(hash, bytes, length) == PSA_SUCCESS;
}
static bool hash_end(hash_t *hash, unsigned char digest[32]) {
  size_t length;
  return psa_hash_finish(hash, digest, 32, &length) == PSA_SUCCESS;
}
static void hash_free(hash_t *hash) { psa_hash_abort(hash); }
#else
typedef mbedtls_md_context_t hash_t;
static bool hash_begin(hash_t *hash) {
  mbedtls_md_init(hash);
  return mbedtls_md_setup(hash, mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), 0) == 0 && mbedtls_md_starts(hash) == 0;
}
static bool hash_add(hash_t *hash, const void *bytes, size_t length) {
  return mbedtls_md_update(hash, bytes, length) == 0;
}
static bool hash_end(hash_t *hash, unsigned char digest[32]) { return mbedtls_md_finish(hash, digest) == 0; }
static void hash_free(hash_t *hash) { mbedtls_md_free(hash); }
#endif

static bool is_checksum(hash_t *hash, const char *expected) {
  unsigned char digest[32];
  char hex[65];
  if (!hash_end(hash, digest)) return false;
  for (int i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
  return strcasecmp(hex, expected) == 0;
}

// ---- Download

static esp_err_t keep_location(esp_http_client_event_t *event) {
  char **location = event->user_data;
  if (event->event_id != HTTP_EVENT_ON_HEADER || strcasecmp(event->header_key, "Location") != 0) return ESP_OK;
  free(*location);
  *location = strdup(event->header_value);
  return ESP_OK;
}

static esp_http_client_handle_t open_url(const char *url, const char *roots, char **location, int *status, int *length) {
  const esp_http_client_config_t config = {
      .url = url,
      .cert_pem = roots,
      .buffer_size = HTTP_BUFFER,
      .buffer_size_tx = HTTP_BUFFER,
      .timeout_ms = HTTP_TIMEOUT_MS,
      .event_handler = keep_location,
      .user_data = location,
  };
  esp_http_client_handle_t http = esp_http_client_init(&config);
  *status = PAKU_INVALID_URL;
  if (http == NULL) return NULL;
  *status = PAKU_DOWNLOAD_FAILED;
  if (esp_http_client_open(http, 0) == ESP_OK && (*length = (int)esp_http_client_fetch_headers(http)) >= 0) {
    *status = esp_http_client_get_status_code(http);
    return http;
  }
  esp_http_client_cleanup(http);
  return NULL;
}

static bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// Follows redirects with a new client for each: the redirection of esp_http_client keeps the Host header of the first
// request if only the port differs, and S3 refuses a request whose Host is not the one that was signed.
static esp_http_client_handle_t open_image(const char *link, const char *roots, int *code, int *length) {
  char *url = strdup(link);
  esp_http_client_handle_t http = NULL;
  *code = PAKU_DOWNLOAD_FAILED;
  for (int hop = 0; url != NULL && hop <= MAX_REDIRECTS; hop++) {
    char *location = NULL;
    http = open_url(url, roots, &location, code, length);
    free(url);
    url = NULL;
    if (http != NULL && is_redirect(*code)) {
      esp_http_client_cleanup(http);
      http = NULL;
      url = location;
      *code = PAKU_DOWNLOAD_FAILED;
      continue;
    }
    free(location);
  }
  free(url);
  if (http == NULL) return NULL;
  if (*code == 200 && *length > 0) return http;
  esp_http_client_cleanup(http);
  *code = PAKU_DOWNLOAD_FAILED;
  return NULL;
}

static int write_image(esp_http_client_handle_t http, esp_ota_handle_t ota, hash_t *hash, int length,
                       paku_progress_t progress) {
  static char chunk[4096];
  const long started = paku_ota_uptime();
  for (int done = 0; done < length;) {
    int left = length - done;
    int n = esp_http_client_read(http, chunk, left < (int)sizeof chunk ? left : (int)sizeof chunk);
    if (n <= 0) return PAKU_DOWNLOAD_FAILED;
    if (esp_ota_write(ota, chunk, (size_t)n) != ESP_OK || !hash_add(hash, chunk, (size_t)n)) return PAKU_INSTALL_FAILED;
    done += n;
    if (paku_ota_uptime() - started > PAKU_DOWNLOAD_SECONDS) return PAKU_TIMEOUT;
    if (progress != NULL) progress((int)(100LL * done / length));
  }
  return PAKU_SUCCESS;
}

static int install_from(esp_http_client_handle_t http, int length, const char *checksum, paku_progress_t progress) {
  const esp_partition_t *partition = esp_ota_get_next_update_partition(NULL);
  if (partition == NULL) return PAKU_NO_PARTITION;
  if ((size_t)length > partition->size) return PAKU_TOO_LARGE;
  esp_ota_handle_t ota;
  // Erases while it writes: erasing the partition at once would stop everything for seconds.
  if (esp_ota_begin(partition, OTA_WITH_SEQUENTIAL_WRITES, &ota) != ESP_OK) return PAKU_INSTALL_FAILED;

  hash_t hash;
  int code = hash_begin(&hash) ? write_image(http, ota, &hash, length, progress) : PAKU_INSTALL_FAILED;
  if (code == PAKU_SUCCESS && !is_checksum(&hash, checksum)) code = PAKU_WRONG_CHECKSUM;
  hash_free(&hash);
  if (code != PAKU_SUCCESS) {
    esp_ota_abort(ota);
    return code;
  }
  // Checks the image itself, and its signature if signed updates are switched on.
  if (esp_ota_end(ota) != ESP_OK) return PAKU_INVALID_IMAGE;
  return esp_ota_set_boot_partition(partition) == ESP_OK ? PAKU_SUCCESS : PAKU_INSTALL_FAILED;
}

int paku_ota_install(const paku_command_t *command, const char *roots, paku_progress_t progress) {
  // While an image is on trial, the other partition holds the only one that is known to work.
  if (on_trial) return PAKU_BUSY;
  int code, length = 0;
  esp_http_client_handle_t http = open_image(command->url, roots, &code, &length);
  if (http == NULL) return code;
  code = install_from(http, length, command->checksum, progress);
  esp_http_client_cleanup(http);
  return code;
}

const char *paku_ota_reset_reason(void) {
  switch (esp_reset_reason()) {
    case ESP_RST_POWERON: return "power_on";
    case ESP_RST_EXT: return "external";
    case ESP_RST_SW: return "restart";
    case ESP_RST_PANIC: return "panic";
    case ESP_RST_INT_WDT: return "interrupt_watchdog";
    case ESP_RST_TASK_WDT: return "task_watchdog";
    case ESP_RST_WDT: return "watchdog";
    case ESP_RST_DEEPSLEEP: return "deep_sleep";
    case ESP_RST_BROWNOUT: return "brownout";
    default: return "unknown";
  }
}
