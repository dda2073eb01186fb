#pragma once
#include <stdint.h>
typedef int esp_err_t;
#define ESP_OK 0
#define ESP_FAIL -1
#define ESP_ERR_INVALID_ARG 0x102
#define ESP_ERR_OTA_ROLLBACK_INVALID_STATE 0x1507
#define ESP_ERR_OTA_VALIDATE_FAILED 0x1503
