// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {Parameters} from "../generated/Parameters.sol";
import {IQuoteVerifier} from "../interfaces/IQuoteVerifier.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";

contract Registry is IRegistry {
    struct Operator {
        address admin;
        uint64 era;
        address proposedAdmin;
        uint40 acceptableAt;
    }

    struct Signer {
        /// Unix seconds: until its evidence or its era ends.
        uint40 activeUntil;
        /// Of its era; 0 where the signer was never registered.
        uint40 expiry;
        bool revoked;
        /// That accepted its evidence, and is asked about it again.
        address verifier;
        bytes32 eraHash;
        /// Over the nonce too.
        bytes32 evidenceHash;
    }

    TimelockController public immutable TIMELOCK;

    /// @inheritdoc IRegistry
    address public quoteVerifier;
    address private _proposedQuoteVerifier;
    uint40 private _quoteVerifierAcceptableAt;
    uint256 private _operators;
    mapping(uint256 operator => Operator) private _operator;
    /// Per operator, so that nobody can take another's signer away.
    mapping(uint256 operator => mapping(address signer => Signer)) private _signer;

    constructor(TimelockController timelock, address firstQuoteVerifier) {
        uint256 delay = timelock.getMinDelay();
        if (delay < Parameters.TIMELOCK_SECONDS_MIN) revert TimelockTooShort(delay);
        TIMELOCK = timelock;
        _setQuoteVerifier(firstQuoteVerifier);
    }

    modifier onlyAdmin(uint256 operator) {
        if (msg.sender != _operator[operator].admin) revert NotAdmin(operator, msg.sender);
        _;
    }

    /// @inheritdoc IRegistry
    function registerOperator() external returns (uint256 operator) {
        operator = ++_operators;
        _operator[operator].admin = msg.sender;
        emit OperatorRegistered(operator, msg.sender);
    }

    /// @inheritdoc IRegistry
    function registerEra(
        uint256 operator,
        Era calldata newEra,
        uint256 nonceBlock,
        bytes calldata evidence
    ) external onlyAdmin(operator) {
        uint64 next = _operator[operator].era + 1;
        if (newEra.number != next) revert EraNotNext(newEra.number, next);
        uint256 latest = block.timestamp + Parameters.ERA_SECONDS_MAX;
        if (newEra.expiry <= block.timestamp || newEra.expiry > latest) {
            revert EraExpiry(newEra.expiry, block.timestamp + 1, latest);
        }
        if (newEra.signer == address(0)) revert SignerMissing();
        // A key is for one era: what was revoked does not come back, and nothing lives longer than an era.
        Signer storage found = _signer[operator][newEra.signer];
        if (found.expiry != 0 || found.revoked) revert SignerUsed(operator, newEra.signer);
        _operator[operator].era = next;
        found.expiry = newEra.expiry;
        found.eraHash = keccak256(abi.encode(newEra));
        emit EraRegistered(operator, next, newEra.signer, newEra.encryptionKey, newEra.apiKey, newEra.expiry);
        _acceptEvidence(operator, newEra, nonceBlock, evidence);
    }

    /// @inheritdoc IRegistry
    function renewEvidence(
        uint256 operator,
        Era calldata ofEra,
        uint256 nonceBlock,
        bytes calldata evidence,
        bytes calldata consent
    ) external {
        _known(operator, ofEra);
        bytes32 digest = keccak256(
            abi.encode(
                "bitcloak.renewal",
                block.chainid,
                address(this),
                operator,
                ofEra.number,
                nonceBlock,
                keccak256(evidence)
            )
        );
        (address signer, ECDSA.RecoverError failure, ) = ECDSA.tryRecover(digest, consent);
        if (failure != ECDSA.RecoverError.NoError || signer != ofEra.signer) {
            revert ConsentMissing(operator, ofEra.signer);
        }
        _acceptEvidence(operator, ofEra, nonceBlock, evidence);
    }

    /// @inheritdoc IRegistry
    function invalidateEvidence(uint256 operator, Era calldata ofEra, bytes32 nonce, bytes calldata evidence) external {
        Signer storage found = _known(operator, ofEra);
        if (found.evidenceHash != keccak256(abi.encode(nonce, evidence)))
            revert EvidenceUnknown(operator, ofEra.number);
        uint256 validUntil = IQuoteVerifier(found.verifier).verify(operator, ofEra, nonce, evidence);
        if (validUntil > block.timestamp) revert EvidenceHolds(operator, ofEra.number, validUntil);
        found.activeUntil = 0;
        // The same evidence is not asked about twice: only newer brings the era back.
        found.evidenceHash = 0;
        emit EvidenceInvalidated(operator, ofEra.number);
    }

    /// @inheritdoc IRegistry
    function revokeSigner(uint256 operator, address signer) external onlyAdmin(operator) {
        _signer[operator][signer].revoked = true;
        _signer[operator][signer].activeUntil = 0;
        emit SignerRevoked(operator, signer);
    }

    /// @inheritdoc IRegistry
    function proposeAdmin(uint256 operator, address newAdmin) external onlyAdmin(operator) {
        uint256 acceptableAt = block.timestamp + TIMELOCK.getMinDelay();
        _operator[operator].proposedAdmin = newAdmin;
        _operator[operator].acceptableAt = uint40(acceptableAt);
        emit AdminProposed(operator, newAdmin, acceptableAt);
    }

    /// @inheritdoc IRegistry
    function acceptAdmin(uint256 operator) external {
        Operator storage found = _operator[operator];
        if (msg.sender != found.proposedAdmin) revert NotProposedAdmin(operator, msg.sender);
        if (block.timestamp < found.acceptableAt) revert TooEarly(found.acceptableAt, block.timestamp);
        found.admin = msg.sender;
        found.proposedAdmin = address(0);
        emit AdminSet(operator, msg.sender);
    }

    /// @inheritdoc IRegistry
    function proposeQuoteVerifier(address newQuoteVerifier) external {
        if (msg.sender != address(TIMELOCK)) revert NotTimelock(msg.sender);
        uint256 acceptableAt = block.timestamp + Parameters.MEASUREMENT_DELAY_SECONDS;
        _proposedQuoteVerifier = newQuoteVerifier;
        _quoteVerifierAcceptableAt = uint40(acceptableAt);
        emit QuoteVerifierProposed(newQuoteVerifier, acceptableAt);
    }

    /// @inheritdoc IRegistry
    function acceptQuoteVerifier() external {
        if (block.timestamp < _quoteVerifierAcceptableAt) revert TooEarly(_quoteVerifierAcceptableAt, block.timestamp);
        _setQuoteVerifier(_proposedQuoteVerifier);
        _proposedQuoteVerifier = address(0);
    }

    /// @inheritdoc IRegistry
    function isActive(uint256 operator, address signer) external view returns (bool) {
        return block.timestamp < _signer[operator][signer].activeUntil;
    }

    /// @inheritdoc IRegistry
    function activeUntil(uint256 operator, address signer) external view returns (uint256) {
        return _signer[operator][signer].activeUntil;
    }

    /// @inheritdoc IRegistry
    function isRevoked(uint256 operator, address signer) external view returns (bool) {
        return _signer[operator][signer].revoked;
    }

    /// @inheritdoc IRegistry
    function admin(uint256 operator) external view returns (address) {
        return _operator[operator].admin;
    }

    /// @inheritdoc IRegistry
    function era(uint256 operator) external view returns (uint64) {
        return _operator[operator].era;
    }

    /// Checks evidence for keys that were registered just now or before, and makes them active for as long as it holds.
    function _acceptEvidence(
        uint256 operator,
        Era calldata ofEra,
        uint256 nonceBlock,
        bytes calldata evidence
    ) private {
        bytes32 nonce = blockhash(nonceBlock);
        if (nonce == 0) revert NonceUnknown(nonceBlock);
        uint40 validUntil = IQuoteVerifier(quoteVerifier).verify(operator, ofEra, nonce, evidence);
        if (validUntil <= block.timestamp) revert EvidenceRefused(operator, ofEra.number);
        Signer storage found = _signer[operator][ofEra.signer];
        if (validUntil > found.expiry) validUntil = found.expiry;
        if (validUntil <= found.activeUntil) revert EvidenceNotLater(validUntil, found.activeUntil);
        found.activeUntil = validUntil;
        found.verifier = quoteVerifier;
        found.evidenceHash = keccak256(abi.encode(nonce, evidence));
        emit EvidenceAccepted(operator, ofEra.number, nonce, validUntil, evidence);
    }

    function _known(uint256 operator, Era calldata ofEra) private view returns (Signer storage found) {
        found = _signer[operator][ofEra.signer];
        if (found.revoked || found.eraHash != keccak256(abi.encode(ofEra))) revert EraUnknown(operator, ofEra.signer);
    }

    function _setQuoteVerifier(address newQuoteVerifier) private {
        if (newQuoteVerifier.code.length == 0) revert QuoteVerifierMissing();
        quoteVerifier = newQuoteVerifier;
        emit QuoteVerifierSet(newQuoteVerifier);
    }
}
