// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Parameters} from "../generated/Parameters.sol";
import {IPool} from "../interfaces/IPool.sol";
import {IVerifier} from "../interfaces/IVerifier.sol";

/// @notice The queue of leaves in buckets, and the tree that closed buckets are inserted into.
/// @dev The tree is never hashed on chain. Appending updates one running keccak; insertion hands the leaves in again and proves the
///      step from one root to the next.
abstract contract LeafQueue is IPool {
    IVerifier public immutable VERIFIER;
    /// @notice Seconds that a bucket must be open before it can be closed while it is not full.
    uint256 public immutable BUCKET_AGE;

    Queue private _queue;
    /// keccak(keccak(keccak(0, leaf 0), leaf 1), …) of the open bucket. Left as it is when a bucket closes: with no leaves it counts as 0.
    bytes32 private _openAccumulator;
    mapping(uint256 bucket => bytes32 accumulator) private _closedAccumulators;

    /// @inheritdoc IPool
    uint256 public currentRoot = Parameters.EMPTY_ROOT;
    /// @inheritdoc IPool
    mapping(uint256 root => bool) public isKnownRoot;

    constructor(IVerifier verifier, uint256 bucketAge) {
        if (bucketAge > Parameters.BUCKET_AGE_SECONDS_MAX) revert BucketAgeTooLong(bucketAge);
        if (bucketAge < Parameters.BUCKET_AGE_SECONDS_MIN && !Parameters.isDevelopmentChain(block.chainid)) {
            revert BucketAgeTooShort(bucketAge);
        }
        VERIFIER = verifier;
        BUCKET_AGE = bucketAge;
    }

    /// @inheritdoc IPool
    function queue() external view returns (Queue memory) {
        return _queue;
    }

    /// @dev Appends leaves in their order; each is below the field's modulus by the caller's word.
    function _append(uint256[] memory leaves) internal returns (uint256 firstLeaf) {
        Queue memory q = _queue;
        bytes32 accumulator = q.openLeaves == 0 ? bytes32(0) : _openAccumulator;
        firstLeaf = uint256(q.openBucket) * Parameters.BUCKET_LEAVES + q.openLeaves;
        for (uint256 i = 0; i < leaves.length; ++i) {
            if (q.openLeaves == 0) q.openedAt = uint40(block.timestamp);
            accumulator = _accumulate(accumulator, leaves[i]);
            ++q.openLeaves;
            if (q.openLeaves == Parameters.BUCKET_LEAVES) {
                _close(q, accumulator);
                accumulator = bytes32(0);
            }
        }
        if (q.openLeaves != 0) _openAccumulator = accumulator;
        _queue = q;
    }

    /// @dev Appends leaves, fewer than a bucket has, so that all of them are in one tree: what is left of a full tree stays empty. Whoever
    ///      proves about several of them at once needs them under one root.
    function _appendTogether(uint256[] memory leaves) internal returns (uint256 firstLeaf) {
        Queue memory q = _queue;
        bool isLastOfTree = q.openBucket % Parameters.TREE_BUCKETS == Parameters.TREE_BUCKETS - 1;
        if (isLastOfTree && q.openLeaves + leaves.length > Parameters.BUCKET_LEAVES) {
            emit BucketClosed(q.openBucket, q.openLeaves);
            _close(q, _openAccumulator);
            _queue = q;
        }
        return _append(leaves);
    }

    /// @dev Closes the bucket in memory: the caller writes the queue back.
    function _close(Queue memory q, bytes32 accumulator) private {
        _closedAccumulators[q.openBucket] = accumulator;
        ++q.openBucket;
        q.openLeaves = 0;
    }

    function _closeOpenBucket() internal {
        Queue memory q = _queue;
        if (q.openLeaves == 0) revert BucketEmpty();
        uint256 closableAt = q.openedAt + BUCKET_AGE;
        if (block.timestamp < closableAt) revert BucketTooYoung(closableAt, block.timestamp);
        emit BucketClosed(q.openBucket, q.openLeaves);
        _close(q, _openAccumulator);
        _queue = q;
    }

    function _insert(
        uint256 bucket,
        uint256[] calldata leaves,
        uint256 newRoot,
        uint256 bucketRoot,
        uint256[8] calldata proof
    ) internal {
        Queue memory q = _queue;
        if (bucket != q.nextInsertion) revert BucketNotNext(bucket, q.nextInsertion);
        if (bucket == q.openBucket) revert BucketNotClosed(bucket);

        uint256 bucketIndex = bucket % Parameters.TREE_BUCKETS;
        uint256 oldRoot = bucketIndex == 0 ? Parameters.EMPTY_ROOT : currentRoot;
        (bytes32 accumulator, uint256 challenge, uint256 evaluation) = _evaluate(
            leaves,
            [bucket, oldRoot, newRoot, bucketRoot, leaves.length]
        );
        // A chain of another length, too, would be a collision of keccak, so the number of leaves needs no check of its own.
        if (accumulator != _closedAccumulators[bucket]) revert LeavesMismatch(bucket);

        uint256[] memory signals = new uint256[](Parameters.INSERTION_SIGNALS);
        signals[Parameters.INSERTION_OLD_ROOT] = oldRoot;
        signals[Parameters.INSERTION_NEW_ROOT] = newRoot;
        signals[Parameters.INSERTION_BUCKET_ROOT] = bucketRoot;
        signals[Parameters.INSERTION_BUCKET_INDEX] = bucketIndex;
        signals[Parameters.INSERTION_CHALLENGE] = challenge;
        signals[Parameters.INSERTION_EVALUATION] = evaluation;
        _verify(Parameters.INSERTION, proof, signals);

        delete _closedAccumulators[bucket];
        ++q.nextInsertion;
        _queue = q;
        currentRoot = newRoot;
        isKnownRoot[newRoot] = true;
        emit BucketInserted(bucket, bucketRoot, newRoot);
    }

    /// @dev The accumulator of the leaves, z = keccak(head, leaves) mod p, and the sum of leaf_i · z^i.
    ///      z hashes both the leaves that the pool saw and bucketRoot and newRoot, which commit to those of the proof, so neither can be
    ///      fitted to the other; two different lists of 64 agree at z with a probability below 64 / p (Schwartz and Zippel).
    function _evaluate(
        uint256[] calldata leaves,
        uint256[5] memory head
    ) private pure returns (bytes32 accumulator, uint256 challenge, uint256 evaluation) {
        uint256 modulus = Parameters.FIELD_MODULUS;
        assembly ("memory-safe") {
            let buffer := mload(0x40)
            mcopy(buffer, head, 0xa0)
            let size := shl(5, leaves.length)
            calldatacopy(add(buffer, 0xa0), leaves.offset, size)
            challenge := mod(keccak256(buffer, add(size, 0xa0)), modulus)
            let power := 1
            for {
                let at := add(buffer, 0xa0)
                let end := add(at, size)
            } lt(at, end) {
                at := add(at, 0x20)
            } {
                let leaf := mload(at)
                mstore(0x00, accumulator)
                mstore(0x20, leaf)
                accumulator := keccak256(0x00, 0x40)
                evaluation := addmod(evaluation, mulmod(leaf, power, modulus), modulus)
                power := mulmod(power, challenge, modulus)
            }
        }
    }

    /// @dev Reverts where the proof does not hold. The verifier refuses every signal that is not below the field's modulus.
    function _verify(uint8 circuit, uint256[8] calldata proof, uint256[] memory signals) internal view {
        IVerifier.Claim[] memory claims = new IVerifier.Claim[](1);
        claims[0] = IVerifier.Claim(circuit, proof, signals);
        if (!VERIFIER.verify(claims)) revert InvalidProof();
    }

    function _accumulate(bytes32 accumulator, uint256 leaf) private pure returns (bytes32 result) {
        assembly ("memory-safe") {
            mstore(0x00, accumulator)
            mstore(0x20, leaf)
            result := keccak256(0x00, 0x40)
        }
    }

    function _depositsPaused() internal view returns (bool) {
        return _queue.depositsPaused;
    }

    function _setDepositsPaused(bool paused) internal {
        _queue.depositsPaused = paused;
        emit DepositsPausedSet(paused);
    }
}
