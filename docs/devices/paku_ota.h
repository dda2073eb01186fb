// The part of a device that every firmware needs to be updated safely, for ESP-IDF (5 and 6) and for the Arduino core of
// the ESP32 (2.x and 3.x): copy paku_ota.h and paku_ota.c beside your own sources. The page connect-a-device.md explains it.
#pragma once
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

// Times in seconds. A build may define others.
#ifndef PAKU_TRIAL_SECONDS
#define PAKU_TRIAL_SECONDS 300  // a new image without a connection for this long restarts, and the bootloader goes back
#endif
#ifndef PAKU_OFFLINE_SECONDS
#define PAKU_OFFLINE_SECONDS 1800  // a proven image without a connection for this long restarts
#endif
#ifndef PAKU_VALID_SECONDS
#define PAKU_VALID_SECONDS 60  // a new image that is connected after this long is marked valid
#endif
#ifndef PAKU_DOWNLOAD_SECONDS
#define PAKU_DOWNLOAD_SECONDS 900  // limit of a whole download
#endif

typedef struct {
  char url[513];
  char checksum[65];  // SHA-256, 64 hex digits
  char version[33];
} paku_command_t;

// The result codes that paku_ota_install returns.
enum {
  PAKU_SUCCESS = 0,
  PAKU_DOWNLOAD_FAILED = 2,
  PAKU_WRONG_CHECKSUM = 3,
  PAKU_INSTALL_FAILED = 4,
  PAKU_NO_PARTITION = 5,
  PAKU_INVALID_URL = 6,
  PAKU_TIMEOUT = 7,
  PAKU_TOO_LARGE = 8,
  PAKU_INVALID_IMAGE = 9,
  PAKU_BUSY = 10,
};

// Called during the download, with 0 to 100, so that the caller can keep its connection alive. It must not block.
typedef void (*paku_progress_t)(int percent);

// Call this first in setup() or app_main(), before anything that can wait: it starts the timer that restarts the device
// when paku_ota_connected() was not called for too long, even if the program hangs.
void paku_ota_begin(void);

// Call this again and again (at least once a minute) while the device is connected to the MQTT broker. It resets the
// timer, and marks a new image valid once it has run for PAKU_VALID_SECONDS.
void paku_ota_connected(void);

// True while the running image is new and not marked valid: after the next reset, also out of deep sleep, the bootloader
// goes back to the image before it. A device that sleeps stays awake as long as this is true.
bool paku_ota_on_trial(void);

// Reads a command. False if it is not JSON, or if a field is missing or too long.
bool paku_ota_read_command(const char *json, size_t length, paku_command_t *command);

// Downloads the image of the command, and selects it for the next boot only after its SHA-256 was compared and ESP-IDF
// accepted the image. Returns a result code. On success the caller reports the result and calls esp_restart().
// roots: one or more CA certificates in PEM, for the servers of links.
int paku_ota_install(const paku_command_t *command, const char *roots, paku_progress_t progress);

// Why the device started, for the field reset_reason of its status.
const char *paku_ota_reset_reason(void);

// Seconds since the start, for the field uptime_seconds. Unlike millis() it does not overflow after 49 days.
long paku_ota_uptime(void);

#ifdef __cplusplus
}
#endif
