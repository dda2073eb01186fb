// Partitions, restarts, timers and tasks of a board. The bootloader is test/firmware/board.ts.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "esp_ota_ops.h"
#include "esp_system.h"
#include "esp_timer.h"
#include "freertos/task.h"
#include "mbedtls/sha256.h"

#define RESTART_EXIT_CODE 100
#define PARTITION_BYTES 0x1e0000

static const esp_partition_t partitions[2] = {{0, PARTITION_BYTES}, {1, PARTITION_BYTES}};
static FILE *written;
static int written_slot;

// The line of the file otadata: the slot to boot, and the state of each image.
typedef struct {
  int boot, states[2];
} otadata_t;

static const char *setting(const char *name, const char *otherwise) {
  const char *value = getenv(name);
  return value != NULL ? value : otherwise;
}

static FILE *open_file(const char *name, const char *mode) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", setting("BOARD_DIR", "."), name);
  FILE *file = fopen(path, mode);
  if (file != NULL) return file;
  perror(path);
  abort();
}

static FILE *open_slot(int slot, const char *mode) { return open_file(slot == 0 ? "ota_0" : "ota_1", mode); }

static otadata_t read_otadata(void) {
  otadata_t data;
  FILE *file = open_file("otadata", "r");
  if (fscanf(file, "%d %d %d", &data.boot, &data.states[0], &data.states[1]) != 3) abort();
  fclose(file);
  return data;
}

static void write_otadata(otadata_t data) {
  FILE *file = open_file("otadata", "w");
  fprintf(file, "%d %d %d\n", data.boot, data.states[0], data.states[1]);
  fclose(file);
}

static int running_slot(void) { return atoi(setting("BOARD_SLOT", "0")); }

const esp_partition_t *esp_ota_get_running_partition(void) { return &partitions[running_slot()]; }

const esp_partition_t *esp_ota_get_next_update_partition(const esp_partition_t *start_from) {
  (void)start_from;
  return &partitions[1 - running_slot()];
}

esp_err_t esp_ota_get_state_partition(const esp_partition_t *partition, esp_ota_img_states_t *state) {
  *state = (esp_ota_img_states_t)read_otadata().states[partition->slot];
  return ESP_OK;
}

esp_err_t esp_ota_begin(const esp_partition_t *partition, size_t image_size, esp_ota_handle_t *handle) {
  (void)image_size;
  if (read_otadata().states[running_slot()] == ESP_OTA_IMG_PENDING_VERIFY) return ESP_ERR_OTA_ROLLBACK_INVALID_STATE;
  written_slot = partition->slot;
  written = open_slot(written_slot, "w");
  *handle = 1;
  return ESP_OK;
}

esp_err_t esp_ota_write(esp_ota_handle_t handle, const void *data, size_t size) {
  (void)handle;
  return fwrite(data, 1, size, written) == size ? ESP_OK : ESP_FAIL;
}

esp_err_t esp_ota_abort(esp_ota_handle_t handle) {
  (void)handle;
  fclose(written);
  return ESP_OK;
}

// An image begins with 0xe9 and ends with the SHA-256 of what is before it.
static esp_err_t validate(int slot) {
  static unsigned char image[PARTITION_BYTES];
  unsigned char digest[32];
  FILE *file = open_slot(slot, "r");
  size_t size = fread(image, 1, sizeof image, file);
  fclose(file);
  if (size < 64 || image[0] != 0xe9) return ESP_ERR_OTA_VALIDATE_FAILED;
  mbedtls_sha256_ret(image, size - 32, digest, 0);
  return memcmp(digest, image + size - 32, 32) == 0 ? ESP_OK : ESP_ERR_OTA_VALIDATE_FAILED;
}

esp_err_t esp_ota_end(esp_ota_handle_t handle) {
  (void)handle;
  fclose(written);
  return validate(written_slot);
}

esp_err_t esp_ota_set_boot_partition(const esp_partition_t *partition) {
  if (validate(partition->slot) != ESP_OK) return ESP_ERR_OTA_VALIDATE_FAILED;
  otadata_t data = read_otadata();
  data.boot = partition->slot;
  data.states[partition->slot] = ESP_OTA_IMG_NEW;
  write_otadata(data);
  return ESP_OK;
}

esp_err_t esp_ota_mark_app_valid_cancel_rollback(void) {
  otadata_t data = read_otadata();
  data.states[running_slot()] = ESP_OTA_IMG_VALID;
  write_otadata(data);
  return ESP_OK;
}

esp_reset_reason_t esp_reset_reason(void) { return (esp_reset_reason_t)atoi(setting("BOARD_RESET_REASON", "1")); }

void esp_restart(void) {
  fflush(NULL);
  _exit(RESTART_EXIT_CODE);
}

int64_t esp_timer_get_time(void) {
  static struct timespec start;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  if (start.tv_sec == 0) start = now;
  return (int64_t)(now.tv_sec - start.tv_sec) * 1000000 + (now.tv_nsec - start.tv_nsec) / 1000;
}

struct esp_timer {
  esp_timer_create_args_t args;
  uint64_t period_us;
};

esp_err_t esp_timer_create(const esp_timer_create_args_t *args, esp_timer_handle_t *timer) {
  *timer = calloc(1, sizeof **timer);
  (*timer)->args = *args;
  return ESP_OK;
}

static void *run_timer(void *argument) {
  esp_timer_handle_t timer = argument;
  while (usleep((useconds_t)timer->period_us) == 0) timer->args.callback(timer->args.arg);
  return NULL;
}

esp_err_t esp_timer_start_periodic(esp_timer_handle_t timer, uint64_t period_us) {
  pthread_t thread;
  timer->period_us = period_us;
  return pthread_create(&thread, NULL, run_timer, timer) == 0 ? ESP_OK : ESP_FAIL;
}

typedef struct {
  void (*code)(void *);
  void *argument;
} task_t;

static void *run_task(void *argument) {
  task_t task = *(task_t *)argument;
  free(argument);
  task.code(task.argument);
  return NULL;
}

BaseType_t xTaskCreate(void (*code)(void *), const char *name, uint32_t stack, void *argument, unsigned priority,
                       TaskHandle_t *created) {
  (void)name, (void)stack, (void)priority, (void)created;
  task_t *task = malloc(sizeof *task);
  *task = (task_t){code, argument};
  pthread_t thread;
  return pthread_create(&thread, NULL, run_task, task) == 0 ? pdPASS : 0;
}

void vTaskDelay(TickType_t ticks) { usleep(ticks * 1000); }

void vTaskDelete(TaskHandle_t task) {
  (void)task;
  pthread_exit(NULL);
}
