// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDcapAttestation} from "../interfaces/IDcapAttestation.sol";
import {IMeasurements} from "../interfaces/IMeasurements.sol";
import {IQuoteVerifier} from "../interfaces/IQuoteVerifier.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";
import {DstackConfig} from "../libraries/DstackConfig.sol";

/// @title Takes a TDX quote, and has it checked on the chain.
/// @notice The evidence is abi.encode(bytes quote, DstackConfig.Config config). The quote's MRCONFIGID has to be that of the config, and names the compose hash so:
///         RTMR3, which tells it too, is not replayed here.
contract DcapQuoteVerifier is IQuoteVerifier {
    bytes4 private constant TDX = 0x81000000;
    bytes12 private constant DOMAIN = "bitcloak.era";
    /// LASS, SEPT_VE_DISABLE, PKS, KL and PERFMON, lowest byte first. None that opens the trust domain to debugging, lets it migrate or is reserved.
    bytes8 private constant ATTRIBUTES_ALLOWED = 0x000000d800000080;

    /// Places in what the DCAP verifier answers.
    uint256 private constant TEE_AT = 2;
    uint256 private constant STATUS_AT = 6;
    uint256 private constant BODY_AT = 13;
    /// In a quote.
    uint256 private constant QUOTE_BODY_AT = 48;
    /// And in the TD report of 584 bytes that both have.
    uint256 private constant BODY_BYTES = 584;
    uint256 private constant ATTRIBUTES_AT = 120;
    uint256 private constant MRTD_AT = 136;
    uint256 private constant MRCONFIGID_AT = 184;
    uint256 private constant RTMR_AT = 328;
    uint256 private constant REPORT_DATA_AT = 520;
    uint256 private constant MEASUREMENT_BYTES = 48;

    IDcapAttestation public immutable DCAP;
    IMeasurements public immutable MEASUREMENTS;
    /// Bit i allows TCB status i.
    uint256 public immutable STATUSES;
    uint40 public immutable VALID_SECONDS;
    /// The gas that the DCAP verifier needs at most. With less it could run out, fail, and make evidence look wrong that holds.
    uint256 public immutable GAS;

    error GasTooLow(uint256 gas, uint256 needed);

    constructor(IDcapAttestation dcap, IMeasurements measurements, uint256 statuses, uint40 validSeconds, uint256 gas) {
        DCAP = dcap;
        MEASUREMENTS = measurements;
        STATUSES = statuses;
        VALID_SECONDS = validSeconds;
        GAS = gas;
    }

    /// @inheritdoc IQuoteVerifier
    function verify(
        uint256 operator,
        IRegistry.Era calldata era,
        bytes32 nonce,
        bytes calldata evidence
    ) external view returns (uint40) {
        (bytes memory quote, DstackConfig.Config memory config) = abi.decode(evidence, (bytes, DstackConfig.Config));
        if (quote.length < QUOTE_BODY_AT + BODY_BYTES) return 0;
        bytes memory body = _slice(quote, QUOTE_BODY_AT, BODY_BYTES);
        // Before the DCAP verifier is asked, which may fail altogether: what is not allowed any more is refused all the same.
        if (!_isStartedWith(body, config) || !MEASUREMENTS.isAllowed(_measurement(body, config.composeHash))) return 0;
        // 1/64 stays here at the call.
        if (gasleft() < GAS + GAS / 32) revert GasTooLow(gasleft(), GAS + GAS / 32);
        (bool success, bytes memory output) = DCAP.verifyAndAttestOnChain(quote);
        if (!success || output.length < BODY_AT + BODY_BYTES || bytes4(_word(output, TEE_AT)) != TDX) return 0;
        if ((STATUSES >> uint8(output[STATUS_AT])) & 1 == 0) return 0;
        if (keccak256(_slice(output, BODY_AT, BODY_BYTES)) != keccak256(body)) return 0;
        if (bytes8(_word(body, ATTRIBUTES_AT)) & ~ATTRIBUTES_ALLOWED != 0) return 0;
        if (_word(body, REPORT_DATA_AT) != bytes32(bytes.concat(bytes20(era.signer), DOMAIN))) return 0;
        bytes32 binding = keccak256(
            abi.encode(block.chainid, msg.sender, operator, era.number, era.encryptionKey, era.apiKey, nonce)
        );
        if (_word(body, REPORT_DATA_AT + 32) != binding) return 0;
        return uint40(block.timestamp) + VALID_SECONDS;
    }

    /// Whether MRCONFIGID is that of the config: the form, 32 bytes, 15 zeros.
    function _isStartedWith(bytes memory body, DstackConfig.Config memory config) private pure returns (bool) {
        (bytes32 digest, bool isForm) = DstackConfig.digest(uint8(body[MRCONFIGID_AT]), config);
        return isForm && _word(body, MRCONFIGID_AT + 1) == digest && bytes15(_word(body, MRCONFIGID_AT + 33)) == 0;
    }

    function _measurement(bytes memory body, bytes32 composeHash) private pure returns (bytes32) {
        bytes memory mrTd = _slice(body, MRTD_AT, MEASUREMENT_BYTES);
        return keccak256(bytes.concat(mrTd, _slice(body, RTMR_AT, 3 * MEASUREMENT_BYTES), composeHash));
    }

    function _slice(bytes memory data, uint256 offset, uint256 length) private pure returns (bytes memory part) {
        part = new bytes(length);
        assembly ("memory-safe") {
            mcopy(add(part, 32), add(add(data, 32), offset), length)
        }
    }

    function _word(bytes memory data, uint256 offset) private pure returns (bytes32 word) {
        assembly ("memory-safe") {
            word := mload(add(add(data, 32), offset))
        }
    }
}
