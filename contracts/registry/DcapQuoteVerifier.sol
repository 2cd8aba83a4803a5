// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDcapAttestation} from "../interfaces/IDcapAttestation.sol";
import {IMeasurements} from "../interfaces/IMeasurements.sol";
import {IQuoteVerifier} from "../interfaces/IQuoteVerifier.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";

/// @title Takes a TDX quote, and has it checked on the chain.
/// @notice The evidence is the quote. Its MRCONFIGID must hold the compose hash, since RTMR3 cannot be replayed here.
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
        // 1/64 stays here at each call.
        if (gasleft() < GAS + GAS / 32) revert GasTooLow(gasleft(), GAS + GAS / 32);
        if (evidence.length < QUOTE_BODY_AT + BODY_BYTES) return 0;
        bytes memory body = evidence[QUOTE_BODY_AT:QUOTE_BODY_AT + BODY_BYTES];
        // Before the DCAP verifier is asked, which may fail altogether: what is not allowed any more is refused all the same.
        (bytes32 measurement, bool holds) = _measurement(body);
        if (!holds || !MEASUREMENTS.isAllowed(measurement)) return 0;
        (bool success, bytes memory output) = DCAP.verifyAndAttestOnChain(evidence);
        if (!success || output.length < BODY_AT + BODY_BYTES || bytes4(_word(output, TEE_AT)) != TDX) return 0;
        if ((STATUSES >> uint8(output[STATUS_AT])) & 1 == 0) return 0;
        if (_hash(output, BODY_AT) != keccak256(body)) return 0;
        if (bytes8(_word(body, ATTRIBUTES_AT)) & ~ATTRIBUTES_ALLOWED != 0) return 0;
        if (_word(body, REPORT_DATA_AT) != bytes32(bytes.concat(bytes20(era.signer), DOMAIN))) return 0;
        bytes32 binding = keccak256(
            abi.encode(block.chainid, msg.sender, operator, era.number, era.encryptionKey, era.apiKey, nonce)
        );
        if (_word(body, REPORT_DATA_AT + 32) != binding) return 0;
        return uint40(block.timestamp) + VALID_SECONDS;
    }

    /// And whether MRCONFIGID holds a compose hash: 1, the hash, 15 zeros.
    function _measurement(bytes memory body) private pure returns (bytes32, bool) {
        bytes32 composeHash = _word(body, MRCONFIGID_AT + 1);
        bool holds = body[MRCONFIGID_AT] == 0x01 && bytes15(_word(body, MRCONFIGID_AT + 33)) == 0;
        bytes memory measured = new bytes(4 * MEASUREMENT_BYTES);
        for (uint256 i = 0; i < MEASUREMENT_BYTES; i++) measured[i] = body[MRTD_AT + i];
        for (uint256 i = 0; i < 3 * MEASUREMENT_BYTES; i++) measured[MEASUREMENT_BYTES + i] = body[RTMR_AT + i];
        return (keccak256(abi.encodePacked(measured, composeHash)), holds);
    }

    function _hash(bytes memory output, uint256 offset) private pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            hash := keccak256(add(add(output, 32), offset), BODY_BYTES)
        }
    }

    function _word(bytes memory output, uint256 offset) private pure returns (bytes32 word) {
        assembly ("memory-safe") {
            word := mload(add(add(output, 32), offset))
        }
    }
}
