// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What dstack writes into MRCONFIGID, in its three forms.
/// @notice MRCONFIGID is the form, a byte, then 32 bytes, then 15 zeros. The machine's system, which RTMR0 to 2 measure, does not start an app that is another than
///         it says.
library DstackConfig {
    /// An app whose keys are from a key service.
    struct Config {
        /// SHA-256 of app-compose.json.
        bytes32 composeHash;
        bytes20 appId;
        bytes20 instanceId;
        /// Public key of the authority of the key service, which app-compose.json names as `key_provider_id`.
        bytes keyProviderId;
    }

    /// dstack's number of key services among what may give keys.
    uint8 private constant KEY_SERVICE = 2;
    bytes16 private constant DIGITS = "0123456789abcdef";

    /// @return The 32 bytes behind the form.
    /// @return Whether there is such a form.
    function digest(uint8 form, Config memory config) internal pure returns (bytes32, bool) {
        if (form == 1) return (config.composeHash, true);
        if (form == 2) {
            bytes memory packed = abi.encodePacked(config.composeHash, config.appId, KEY_SERVICE, config.keyProviderId);
            return (keccak256(packed), true);
        }
        if (form == 3) return (sha256(bytes.concat("dstack-mr-config-v3:", bytes1(0), _document(config))), true);
        return (0, false);
    }

    /// The document is put together here and not taken as it comes: whoever holds the machine wrote it, and could write one that means something else to who reads
    /// less of JSON than the machine does.
    function _document(Config memory config) private pure returns (bytes memory) {
        return
            bytes.concat(
                '{"app_id":"',
                _hex(bytes.concat(config.appId)),
                '","compose_hash":"',
                _hex(bytes.concat(config.composeHash)),
                '","instance_id":"',
                _hex(bytes.concat(config.instanceId)),
                '","key_provider":"kms","key_provider_id":"',
                _hex(config.keyProviderId),
                '","version":3}'
            );
    }

    function _hex(bytes memory data) private pure returns (bytes memory text) {
        text = new bytes(2 * data.length);
        for (uint256 i = 0; i < data.length; i++) {
            uint8 value = uint8(data[i]);
            text[2 * i] = DIGITS[value >> 4];
            text[2 * i + 1] = DIGITS[value & 0x0f];
        }
    }
}
