# SPDX-License-Identifier: Apache-2.0
"""The return values of PKCS#11 that a token may give while it serves, and what each means for the service."""

SESSION = {"CKR_SESSION_HANDLE_INVALID": 0xb3, "CKR_SESSION_CLOSED": 0xb0, "CKR_OPERATION_ACTIVE": 0x90,
           "CKR_OPERATION_NOT_INITIALIZED": 0x91}

LOGIN = {"CKR_USER_NOT_LOGGED_IN": 0x101, "CKR_OBJECT_HANDLE_INVALID": 0x82, "CKR_KEY_HANDLE_INVALID": 0x60}

# What has no name here is of this class too; a vendor's value may need all 64 bits.
DEVICE = {"CKR_DEVICE_ERROR": 0x30, "CKR_DEVICE_REMOVED": 0x32, "CKR_TOKEN_NOT_PRESENT": 0xe0,
          "CKR_TOKEN_NOT_RECOGNIZED": 0xe1, "CKR_SLOT_ID_INVALID": 0x3, "CKR_GENERAL_ERROR": 0x5,
          "CKR_FUNCTION_FAILED": 0x6, "CKR_CRYPTOKI_NOT_INITIALIZED": 0x190, "CKR_MUTEX_BAD": 0x1a0}
NAMELESS = (("CKR_VENDOR_DEFINED", 0x80000000), ("CKR_VENDOR_DEFINED", 0x80000386),
            ("CKR_VENDOR_DEFINED", 0xfedcba9880000386), ("CKR_?", 0x7ff), ("CKR_?", 0x1_0000_0030))

PRESSURE = {"CKR_SESSION_COUNT": 0xb1, "CKR_DEVICE_MEMORY": 0x31, "CKR_HOST_MEMORY": 0x2,
            "CKR_TOKEN_RESOURCE_EXCEEDED": 0x201, "CKR_FUNCTION_CANCELED": 0x50}

PERMANENT = {"CKR_MECHANISM_INVALID": 0x70, "CKR_MECHANISM_PARAM_INVALID": 0x71, "CKR_KEY_SIZE_RANGE": 0x62,
             "CKR_KEY_TYPE_INCONSISTENT": 0x63, "CKR_KEY_FUNCTION_NOT_PERMITTED": 0x68, "CKR_KEY_EXHAUSTED": 0x203,
             "CKR_FUNCTION_REJECTED": 0x200, "CKR_FUNCTION_NOT_SUPPORTED": 0x54, "CKR_DATA_INVALID": 0x20,
             "CKR_DATA_LEN_RANGE": 0x21, "CKR_ARGUMENTS_BAD": 0x7, "CKR_BUFFER_TOO_SMALL": 0x150,
             "CKR_SESSION_READ_ONLY": 0xb5, "CKR_CANT_LOCK": 0xa, "CKR_NEED_TO_CREATE_THREADS": 0x9}

# A login as a user that the token does not know will not go better the next time.
PERMANENT["CKR_USER_TYPE_INVALID"] = 0x103

LATCH = {"CKR_PIN_INCORRECT": 0xa0, "CKR_PIN_INVALID": 0xa1, "CKR_PIN_LEN_RANGE": 0xa2, "CKR_PIN_EXPIRED": 0xa3,
         "CKR_PIN_LOCKED": 0xa4, "CKR_USER_PIN_NOT_INITIALIZED": 0x102, "CKR_USER_ANOTHER_ALREADY_LOGGED_IN": 0x104}

BY_CLASS = {"session": list(SESSION.items()), "login": list(LOGIN.items()),
            "device": list(DEVICE.items()) + list(NAMELESS), "pressure": list(PRESSURE.items()),
            "permanent": list(PERMANENT.items()), "latch": list(LATCH.items())}
