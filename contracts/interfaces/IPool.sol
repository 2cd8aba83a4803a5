// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The shielded pool
/// @notice Holds native currency and ERC-20 tokens for notes that only their owners can see and spend. Leaves (note commitments) are
///         collected in buckets of 64; anyone inserts a closed bucket into the Merkle tree with a proof. Nobody can pause transfers,
///         withdrawals, closing or insertion.
interface IPool {
    /// @notice What a transfer shows, but for `extDataHash`, which the pool computes.
    struct Transfer {
        /// a.x, a.y, b.x1, b.x0, b.y1, b.y0, c.x, c.y
        uint256[8] proof;
        /// A root that a tree of the pool had at some time.
        uint256 root;
        /// The hash of all shown values, which the owner signed.
        uint256 message;
        uint256[2] nullifiers;
        uint256[3] commitments;
        /// Base units that leave the pool, below 2^120; 0 for none.
        uint256 withdrawAmount;
        /// What leaves the pool; 0 exactly where nothing does.
        address publicAsset;
        /// Unix seconds; not later than the block.
        uint256 validAfter;
    }

    /// @notice What a transfer carries beside its notes, bound by the owner's signature through `extDataHash`.
    struct ExtData {
        /// Gets withdrawAmount less fee.
        address recipient;
        /// Gets the fee.
        address relayer;
        /// Base units, at most withdrawAmount.
        uint256 fee;
        /// An ephemeral key and two slots for each of the three notes.
        bytes ciphertext;
    }

    /// @notice What a fill shows beside what its whole batch has in common, in the order of the circuit's signals.
    struct FillShown {
        /// Of the notes that it spends.
        uint256[2] nullifiers;
        /// Of the order's state that it spends.
        uint256 orderNullifier;
        /// Commitments, which become leaves in this order.
        uint256 change;
        uint256 proceeds;
        uint256 orderState;
        /// Commitment of what was sold for what, which the clearing opens.
        uint256 fill;
        /// What opens change and proceeds, readable with the owner's nullifier key.
        uint256[3] words;
    }

    /// @notice A settlement: everything but the proofs is signed by the operator.
    struct Batch {
        /// Number in the registry.
        uint256 operator;
        /// One more than that of the operator's settlement before.
        uint64 sequence;
        /// Head of the operator's journal, for itself.
        bytes32 journalHead;
        /// A root that a tree of the pool had at some time.
        uint256 root;
        /// Unix seconds, after the block's time and at most an hour later.
        uint256 validUntil;
        /// 1 to 16.
        FillShown[] fills;
        /// One for each fill, as in Transfer.
        uint256[8][] fillProofs;
        /// Commitments of notes of the operator.
        uint256[4] residuals;
        /// An ephemeral key and a slot for each residual note.
        bytes ciphertext;
        /// The hash of all fill commitments and residuals.
        uint256 commitment;
        /// That the fills and residuals together create nothing.
        uint256[8] clearingProof;
    }

    /// @notice The pool's queue of leaves, in one slot.
    struct Queue {
        /// Number of the bucket that takes leaves, counted over all trees.
        uint64 openBucket;
        /// Leaves in it.
        uint8 openLeaves;
        /// Unix seconds of its first leaf.
        uint40 openedAt;
        /// Number of the bucket to insert next; equal to openBucket where none is closed.
        uint64 nextInsertion;
        bool depositsPaused;
    }

    /// @param leaf Number of the note's leaf, counted over all trees.
    event Deposited(uint256 leaf, address asset, uint256 amount, uint256 commitment, bytes ciphertext);
    /// @param firstLeaf Number of the leaf of the first commitment; the others follow it.
    event Transferred(uint256 firstLeaf, uint256[2] nullifiers, uint256[3] commitments, bytes ciphertext);
    /// @param amount Base units that left the pool, the fee included.
    event Withdrawn(address asset, uint256 amount, address recipient, address relayer, uint256 fee);
    /// @param firstLeaf Number of the first fill's first leaf: change, proceeds and order state of each fill, then the residuals.
    event Settled(
        uint256 indexed operator,
        uint64 sequence,
        bytes32 journalHead,
        uint256 firstLeaf,
        FillShown[] fills,
        uint256[4] residuals,
        bytes ciphertext
    );
    /// @param from Unix seconds from which the state of the order counts as spent.
    event OrderCancelled(uint256 orderNullifier, uint256 from);
    /// @notice A bucket was closed before it was full. A full one closes without an event.
    event BucketClosed(uint256 bucket, uint256 leaves);
    /// @param bucketRoot Root of the bucket's subtree: enough to keep the tree without its leaves.
    event BucketInserted(uint256 bucket, uint256 bucketRoot, uint256 newRoot);
    event DepositsPausedSet(bool paused);
    event GuardianSet(address guardian);

    error AmountOutOfRange(uint256 amount);
    error NotInField(uint256 value);
    error CiphertextLength(uint256 expected, uint256 actual);
    error NativeValue(uint256 expected, uint256 actual);
    error AssetNotContract(address asset);
    /// @notice The token moved another amount than it was asked to: it takes a fee, or rebases.
    error ReceivedAmount(uint256 expected, uint256 actual);
    /// @notice The token took away from what the pool holds for earlier depositors, so nobody else is let in.
    error AssetDeficit(address asset, uint256 expected, uint256 actual);
    error DepositsArePaused();
    error UnknownRoot(uint256 root);
    error NullifierSpent(uint256 nullifier);
    error NotYetValid(uint256 validAfter, uint256 blockTime);
    error PublicAsset(address asset, uint256 withdrawAmount);
    error FeeAboveAmount(uint256 fee, uint256 withdrawAmount);
    error Recipient(address recipient);
    error Relayer(address relayer, uint256 fee);
    error InvalidProof();
    error FillCount(uint256 fills, uint256 proofs);
    error ValidUntil(uint256 validUntil, uint256 earliest, uint256 latest);
    error SequenceNotNext(uint64 sequence, uint64 next);
    error SignerNotActive(uint256 operator, address signer);
    error BucketEmpty();
    error BucketTooYoung(uint256 closableAt, uint256 blockTime);
    error BucketNotNext(uint256 bucket, uint256 nextInsertion);
    error BucketNotClosed(uint256 bucket);
    error LeavesMismatch(uint256 bucket);
    error NotGuardian(address caller);
    error NotTimelock(address caller);
    error TimelockTooShort(uint256 delay);
    error BucketAgeTooLong(uint256 age);
    /// @notice Allowed on development chains only.
    error BucketAgeTooShort(uint256 age);
    error GuardianMissing();

    /// @notice Turns `amount` of `asset` into a note. Needs no proof: the pool computes the commitment.
    /// @param asset An ERC-20 that moves exactly what it is asked to, or NATIVE_ASSET with msg.value = amount.
    /// @param amount Base units, 1 to 2^120 - 1.
    /// @param stealth Hides owner, blinding and lock; below the field's modulus.
    /// @param ciphertext An ephemeral key and two slots, 276 bytes.
    /// @return leaf Number of the note's leaf.
    function deposit(
        address asset,
        uint256 amount,
        uint256 stealth,
        bytes calldata ciphertext
    ) external payable returns (uint256 leaf);

    /// @notice Spends two notes into three and, where withdrawAmount is not 0, pays out of the pool. Cannot be paused.
    function transfer(Transfer calldata transfer_, ExtData calldata extData) external;

    /// @notice Spends locked notes as their owners' orders allow. Open to anyone who has the operator's signature; cannot be paused.
    /// @param signature By a signer that the registry holds active for the operator, over everything but the proofs (EIP-712).
    function settle(Batch calldata batch, bytes calldata signature) external;

    /// @notice Takes back states of orders without their operator: each counts as spent after a delay in which settlements on their way land.
    /// @param cancelKeys Known to an order's owner and its operator; below the field's modulus.
    function cancel(uint256[] calldata cancelKeys) external;

    /// @notice Closes the open bucket once it has a leaf and the minimum age, so that it can be inserted. Open to anyone, cannot be paused.
    function close() external;

    /// @notice Inserts the oldest closed bucket into the tree. Open to anyone, cannot be paused.
    /// @param bucket Number of the bucket, so that a proof that comes too late is told so.
    /// @param leaves The bucket's leaves in their order.
    function insert(
        uint256 bucket,
        uint256[] calldata leaves,
        uint256 newRoot,
        uint256 bucketRoot,
        uint256[8] calldata proof
    ) external;

    /// @notice Stops deposits at once. Only the guardian; only deposits.
    function pauseDeposits() external;

    /// @notice Lets deposits in again. Only the timelock.
    function unpauseDeposits() external;

    /// @notice Only the timelock.
    function setGuardian(address guardian) external;

    function queue() external view returns (Queue memory);

    /// @notice Root of the newest tree.
    function currentRoot() external view returns (uint256);

    function isKnownRoot(uint256 root) external view returns (bool);

    function isSpent(uint256 nullifier) external view returns (bool);

    /// @notice Unix seconds from which a nullifier counts as spent; 0 for never. In the future only while an order is being cancelled.
    function spentFrom(uint256 nullifier) external view returns (uint256);

    /// @notice What locks and orders name an operator by: it means nothing on another chain, pool or registry.
    /// @param operator Number in the registry.
    function operatorId(uint256 operator) external view returns (uint256);

    /// @notice Number of the operator's last settlement.
    function lastSequence(uint256 operator) external view returns (uint64);

    /// @notice Base units of an ERC-20 that the pool owes to its notes.
    function held(address asset) external view returns (uint256);

    function guardian() external view returns (address);
}
