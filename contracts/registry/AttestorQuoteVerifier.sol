// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {IMeasurements} from "../interfaces/IMeasurements.sol";
import {IQuoteVerifier} from "../interfaces/IQuoteVerifier.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";

/// @title Takes the word of k of n attestors, who check quotes off the chain.
/// @notice The evidence is abi.encode(bytes32 measurement, uint40 validUntil, bytes[] signatures): signatures of the EIP-712 statement below,
///         in ascending order of the attestors' addresses.
contract AttestorQuoteVerifier is IQuoteVerifier, EIP712 {
    bytes32 private constant STATEMENT = keccak256(
        "Attestation(address registry,uint256 operator,uint64 number,address signer,bytes32 encryptionKey,bytes32 apiKey,bytes32 nonce,bytes32 measurement,uint40 validUntil)"
    );
    bytes32 private constant WITHDRAWAL = keccak256("Withdrawal(bytes32 statement)");
    /// However confident an attestor is.
    uint256 public constant VALID_SECONDS_MAX = 30 days;

    IMeasurements public immutable MEASUREMENTS;
    /// So many attestors have to agree.
    uint256 public immutable THRESHOLD;
    mapping(address attestor => bool) public isAttestor;
    /// Statements that an attestor does not stand by any more.
    mapping(address attestor => mapping(bytes32 statement => bool)) public isWithdrawn;

    event AttestorAdded(address attestor);
    event AttestorResigned(address attestor);
    event StatementWithdrawn(address indexed attestor, bytes32 statement);

    error AttestorInvalid(address attestor);
    error ThresholdInvalid(uint256 threshold, uint256 attestors);
    error NotAttestor(address caller);

    /// @param attestors In ascending order. Others come with another verifier, for which the registry's delay has to pass.
    constructor(
        IMeasurements measurements,
        address[] memory attestors,
        uint256 threshold
    ) EIP712("Bitcloak attestors", "1") {
        if (threshold == 0 || threshold > attestors.length) revert ThresholdInvalid(threshold, attestors.length);
        MEASUREMENTS = measurements;
        THRESHOLD = threshold;
        address last;
        for (uint256 i = 0; i < attestors.length; i++) {
            if (attestors[i] <= last) revert AttestorInvalid(attestors[i]);
            last = attestors[i];
            isAttestor[last] = true;
            emit AttestorAdded(last);
        }
    }

    modifier onlyAttestor() {
        if (!isAttestor[msg.sender]) revert NotAttestor(msg.sender);
        _;
    }

    /// @notice By an attestor whose key is lost to others, or who ends his service: what he signed counts no more.
    function resign() external onlyAttestor {
        isAttestor[msg.sender] = false;
        emit AttestorResigned(msg.sender);
    }

    /// @notice By an attestor who finds that what he said does not hold any more.
    /// @param statement Its EIP-712 digest.
    function withdraw(bytes32 statement) external onlyAttestor {
        _withdraw(msg.sender, statement);
    }

    /// @notice The same for attestors who have signed that they withdraw it. Open to anyone: an attestor's key needs no gas, and nobody waits until he sends it.
    /// @param signatures Of the EIP-712 type Withdrawal, in any order.
    function withdrawSigned(bytes32 statement, bytes[] calldata signatures) external {
        bytes32 withdrawal = _hashTypedDataV4(keccak256(abi.encode(WITHDRAWAL, statement)));
        for (uint256 i = 0; i < signatures.length; i++) {
            address attestor = ECDSA.recover(withdrawal, signatures[i]);
            if (!isAttestor[attestor]) revert NotAttestor(attestor);
            _withdraw(attestor, statement);
        }
    }

    /// @inheritdoc IQuoteVerifier
    function verify(
        uint256 operator,
        IRegistry.Era calldata era,
        bytes32 nonce,
        bytes calldata evidence
    ) external view returns (uint40) {
        (bytes32 measurement, uint40 validUntil, bytes[] memory signatures) = abi.decode(
            evidence,
            (bytes32, uint40, bytes[])
        );
        if (validUntil > block.timestamp + VALID_SECONDS_MAX) return 0;
        if (!MEASUREMENTS.isAllowed(measurement)) return 0;
        bytes32 statement = statementOf(msg.sender, operator, era, nonce, measurement, validUntil);
        return _count(statement, signatures) < THRESHOLD ? 0 : validUntil;
    }

    /// @notice The EIP-712 digest that an attestor signs.
    function statementOf(
        address registry,
        uint256 operator,
        IRegistry.Era calldata era,
        bytes32 nonce,
        bytes32 measurement,
        uint40 validUntil
    ) public view returns (bytes32) {
        bytes32 structHash = keccak256(
            abi.encode(
                STATEMENT,
                registry,
                operator,
                era.number,
                era.signer,
                era.encryptionKey,
                era.apiKey,
                nonce,
                measurement,
                validUntil
            )
        );
        return _hashTypedDataV4(structHash);
    }

    function _withdraw(address attestor, bytes32 statement) private {
        isWithdrawn[attestor][statement] = true;
        emit StatementWithdrawn(attestor, statement);
    }

    /// How many attestors stand by the statement; each counts once.
    function _count(bytes32 statement, bytes[] memory signatures) private view returns (uint256 count) {
        address last;
        for (uint256 i = 0; i < signatures.length; i++) {
            (address attestor, ECDSA.RecoverError failure, ) = ECDSA.tryRecover(statement, signatures[i]);
            if (failure != ECDSA.RecoverError.NoError || attestor <= last) return 0;
            last = attestor;
            if (isAttestor[attestor] && !isWithdrawn[attestor][statement]) count++;
        }
    }
}
