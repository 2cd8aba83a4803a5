// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The registry of operators and of the keys that their enclaves hold.
/// @notice An operator's enclave works in eras. Each era has keys of its own, which evidence binds to the enclave and which expire; the
///         evidence expires sooner, and is renewed. A signer that is not active here settles nothing; an active one settles only what the
///         owners of the notes signed.
interface IRegistry {
    struct Era {
        /// Signs settlements.
        address signer;
        /// X25519: locked notes are told to it.
        bytes32 encryptionKey;
        /// HPKE over X25519: requests are sealed to it.
        bytes32 apiKey;
        /// 1 for an operator's first era, then one more each time.
        uint64 number;
        /// Unix seconds; nothing is signed from then on.
        uint40 expiry;
    }

    event OperatorRegistered(uint256 operator, address admin);
    event EraRegistered(
        uint256 indexed operator,
        uint64 number,
        address signer,
        bytes32 encryptionKey,
        bytes32 apiKey,
        uint40 expiry
    );
    /// The era's keys are active until then.
    event EvidenceAccepted(uint256 indexed operator, uint64 number, bytes32 nonce, uint40 validUntil, bytes evidence);
    event EvidenceInvalidated(uint256 indexed operator, uint64 number);
    event SignerRevoked(uint256 indexed operator, address signer);
    event AdminProposed(uint256 indexed operator, address admin, uint256 acceptableAt);
    event AdminSet(uint256 indexed operator, address admin);
    event QuoteVerifierProposed(address quoteVerifier, uint256 acceptableAt);
    event QuoteVerifierSet(address quoteVerifier);

    error NotAdmin(uint256 operator, address caller);
    error NotProposedAdmin(uint256 operator, address caller);
    error NotTimelock(address caller);
    error TimelockTooShort(uint256 delay);
    error TooEarly(uint256 acceptableAt, uint256 blockTime);
    error QuoteVerifierMissing();
    error SignerMissing();
    error SignerUsed(uint256 operator, address signer);
    error EraNotNext(uint64 number, uint64 next);
    error EraExpiry(uint256 expiry, uint256 earliest, uint256 latest);
    error EraUnknown(uint256 operator, address signer);
    error ConsentMissing(uint256 operator, address signer);
    error NonceUnknown(uint256 nonceBlock);
    error EvidenceRefused(uint256 operator, uint64 number);
    error EvidenceNotLater(uint256 validUntil, uint256 already);
    error EvidenceUnknown(uint256 operator, uint64 number);
    error EvidenceHolds(uint256 operator, uint64 number, uint256 validUntil);

    /// @notice Makes the caller the admin of a new operator. Open to anyone.
    /// @return operator Its number in this registry, from 1 on.
    function registerOperator() external returns (uint256 operator);

    /// @notice Adds the keys of an operator's next era. Only its admin, only with evidence. Earlier eras stay active until they expire.
    /// @param nonceBlock One of the last 256 blocks; the evidence names its hash, so it is not older.
    function registerEra(uint256 operator, Era calldata era, uint256 nonceBlock, bytes calldata evidence) external;

    /// @notice Brings newer evidence for an era's keys. Open to anyone who has the consent of the era's signer: an era rests on the evidence that came last, and
    ///         who could put another in its place could have it end. It also ends an invalidation, but no revocation.
    /// @param era As it was registered.
    /// @param consent The signer's signature of keccak256(abi.encode("bitcloak.renewal", chain id, registry, operator, number, nonceBlock, keccak256(evidence))).
    function renewEvidence(
        uint256 operator,
        Era calldata era,
        uint256 nonceBlock,
        bytes calldata evidence,
        bytes calldata consent
    ) external;

    /// @notice Ends an era's activity at once where the evidence that it rests on does not hold any more, by the verifier that accepted it. Open to anyone.
    /// @param era As it was registered.
    /// @param nonce The hash that the evidence names.
    /// @param evidence As it was accepted last.
    function invalidateEvidence(uint256 operator, Era calldata era, bytes32 nonce, bytes calldata evidence) external;

    /// @notice Ends a signer at once and for good. Only the operator's admin.
    function revokeSigner(uint256 operator, address signer) external;

    /// @notice Names who may become the operator's admin after the registry's delay. Only the operator's admin; 0 takes it back.
    function proposeAdmin(uint256 operator, address admin) external;

    /// @notice Takes the office. Only who was proposed, only after the delay.
    function acceptAdmin(uint256 operator) external;

    /// @notice Names who may become the quote verifier after `Parameters.MEASUREMENT_DELAY_SECONDS`: another verifier could let in any code, so
    ///         owners must have the time to leave before. Only the timelock; 0 takes it back.
    function proposeQuoteVerifier(address quoteVerifier) external;

    /// @notice Makes the proposed one the quote verifier. Open to anyone, after the delay.
    function acceptQuoteVerifier() external;

    /// @notice Whether a signer may sign for the operator in this block: its era goes on, and its evidence holds.
    function isActive(uint256 operator, address signer) external view returns (bool);

    /// @return Unix seconds from which a signer is active no more; 0 where it never was, was revoked, or its evidence did not hold.
    function activeUntil(uint256 operator, address signer) external view returns (uint256);

    /// @notice Whether a signer was revoked: no evidence brings it back.
    function isRevoked(uint256 operator, address signer) external view returns (bool);

    function admin(uint256 operator) external view returns (address);

    /// @notice Number of the operator's newest era, 0 before the first.
    function era(uint256 operator) external view returns (uint64);

    function quoteVerifier() external view returns (address);
}
