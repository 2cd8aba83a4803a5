// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Parameters} from "../generated/Parameters.sol";
import {IPool} from "../interfaces/IPool.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";
import {IVerifier} from "../interfaces/IVerifier.sol";
import {LeafQueue} from "./LeafQueue.sol";
import {Nullifiers} from "./Nullifiers.sol";

/// @notice Settlements: the fills of one operator's batch, each proven against the order that its owner signed, and a proof that together they
///         create nothing.
abstract contract Settlement is LeafQueue, Nullifiers, EIP712 {
    uint256 private constant SHOWN_WORDS = 10;
    bytes32 private constant FILL_TYPEHASH = keccak256(
        "Fill(uint256 nullifier0,uint256 nullifier1,uint256 orderNullifier,uint256 change,uint256 proceeds,"
        "uint256 orderState,uint256 fill,uint256 word0,uint256 word1,uint256 word2)"
    );
    bytes32 private constant SETTLEMENT_TYPEHASH = keccak256(
        "Settlement(uint256 operator,uint64 sequence,bytes32 journalHead,uint256 root,uint256 validUntil,Fill[] fills,"
        "uint256[4] residuals,bytes ciphertext,uint256 commitment)"
        "Fill(uint256 nullifier0,uint256 nullifier1,uint256 orderNullifier,uint256 change,uint256 proceeds,"
        "uint256 orderState,uint256 fill,uint256 word0,uint256 word1,uint256 word2)"
    );

    IRegistry public immutable REGISTRY;

    mapping(uint256 operator => uint64) private _sequence;

    constructor(IRegistry registry) EIP712("Bitcloak pool", "1") {
        REGISTRY = registry;
    }

    /// @inheritdoc IPool
    function lastSequence(uint256 operator) external view returns (uint64) {
        return _sequence[operator];
    }

    /// @inheritdoc IPool
    function operatorId(uint256 operator) public view returns (uint256) {
        return
            uint256(keccak256(abi.encode(block.chainid, address(this), REGISTRY, operator))) % Parameters.FIELD_MODULUS;
    }

    function _settle(Batch calldata batch, bytes calldata signature) internal {
        _checkBatch(batch);
        _sequence[batch.operator] = batch.sequence;
        address signer = ECDSA.recover(_hashTypedDataV4(_hashBatch(batch)), signature);
        if (!REGISTRY.isActive(batch.operator, signer)) revert SignerNotActive(batch.operator, signer);

        uint256 count = batch.fills.length;
        uint256[] memory leaves = new uint256[](count * Parameters.FILL_LEAVES + Parameters.SETTLEMENT_RESIDUALS);
        uint256 next = 0;
        for (uint256 i = 0; i < count; ++i) {
            FillShown calldata fill = batch.fills[i];
            for (uint256 j = 0; j < Parameters.FILL_INPUTS; ++j) _spend(fill.nullifiers[j]);
            _spend(fill.orderNullifier);
            leaves[next++] = fill.change;
            leaves[next++] = fill.proceeds;
            leaves[next++] = fill.orderState;
        }
        for (uint256 j = 0; j < Parameters.SETTLEMENT_RESIDUALS; ++j) leaves[next++] = batch.residuals[j];
        // After the nullifiers: where one of them is spent already, nobody pays for the pairings.
        _verifyBatch(batch);
        uint256 firstLeaf = _appendTogether(leaves);
        emit Settled(
            batch.operator,
            batch.sequence,
            batch.journalHead,
            firstLeaf,
            batch.fills,
            batch.residuals,
            batch.ciphertext
        );
    }

    function _checkBatch(Batch calldata batch) private view {
        uint256 count = batch.fills.length;
        if (count == 0 || count > Parameters.SETTLEMENT_FILLS_MAX || batch.fillProofs.length != count) {
            revert FillCount(count, batch.fillProofs.length);
        }
        if (batch.ciphertext.length != Parameters.SETTLEMENT_CIPHERTEXT_BYTES) {
            revert CiphertextLength(Parameters.SETTLEMENT_CIPHERTEXT_BYTES, batch.ciphertext.length);
        }
        if (!isKnownRoot[batch.root]) revert UnknownRoot(batch.root);
        // A lock may end at validUntil, and from then on its note is the owner's alone.
        uint256 latest = block.timestamp + Parameters.SETTLEMENT_HORIZON_SECONDS;
        if (batch.validUntil <= block.timestamp || batch.validUntil > latest) {
            revert ValidUntil(batch.validUntil, block.timestamp + 1, latest);
        }
        // Not only above the last: one signature must not be able to use up all the numbers, nor one batch be overtaken by another.
        uint64 next = _sequence[batch.operator] + 1;
        if (batch.sequence != next) revert SequenceNotNext(batch.sequence, next);
    }

    /// @dev One claim for each fill, in their order, and one for the clearing. The verifier refuses every signal that is not below the field's
    ///      modulus, which covers whatever becomes a nullifier or a leaf, but for the residuals.
    function _verifyBatch(Batch calldata batch) private view {
        uint256 count = batch.fills.length;
        uint256 operator = operatorId(batch.operator);
        IVerifier.Claim[] memory claims = new IVerifier.Claim[](count + 1);
        for (uint256 i = 0; i < count; ++i) {
            uint256[] memory signals = new uint256[](Parameters.FILL_SIGNALS);
            signals[Parameters.FILL_ROOT] = batch.root;
            signals[Parameters.FILL_OPERATOR_ID] = operator;
            signals[Parameters.FILL_VALID_UNTIL] = batch.validUntil;
            FillShown calldata shown = batch.fills[i];
            assembly ("memory-safe") {
                // What a fill shows stands in the order of its signals, behind those of the batch.
                calldatacopy(add(signals, 0x80), shown, mul(SHOWN_WORDS, 0x20))
            }
            claims[i] = IVerifier.Claim(Parameters.FILL, batch.fillProofs[i], signals);
        }
        (uint256 challenge, uint256 evaluation) = _evaluateClearing(batch);
        uint256[] memory cleared = new uint256[](Parameters.CLEARING_SIGNALS);
        cleared[Parameters.CLEARING_COMMITMENT] = batch.commitment;
        cleared[Parameters.CLEARING_CHALLENGE] = challenge;
        cleared[Parameters.CLEARING_EVALUATION] = evaluation;
        claims[count] = IVerifier.Claim(Parameters.CLEARING, batch.clearingProof, cleared);
        if (!VERIFIER.verify(claims)) revert InvalidProof();
    }

    /// @dev z = keccak(commitment, fill commitments, residuals) mod p, and the sum of value_i · z^i over the latter two. The commitment of the fill
    ///      of nothing stands in every place behind the batch's own: it is put there here, so that no prover decides which places count.
    function _evaluateClearing(Batch calldata batch) private pure returns (uint256 challenge, uint256 evaluation) {
        uint256 fills = Parameters.SETTLEMENT_FILLS_MAX;
        uint256[] memory words = new uint256[](1 + fills + Parameters.SETTLEMENT_RESIDUALS);
        words[0] = batch.commitment;
        uint256 count = batch.fills.length;
        for (uint256 i = 0; i < fills; ++i) {
            words[1 + i] = i < count ? batch.fills[i].fill : Parameters.EMPTY_FILL;
        }
        for (uint256 j = 0; j < Parameters.SETTLEMENT_RESIDUALS; ++j) {
            uint256 residual = batch.residuals[j];
            if (residual >= Parameters.FIELD_MODULUS) revert NotInField(residual);
            words[1 + fills + j] = residual;
        }
        challenge = uint256(keccak256(abi.encodePacked(words))) % Parameters.FIELD_MODULUS;
        for (uint256 i = words.length - 1; i > 0; --i) {
            evaluation = addmod(
                mulmod(evaluation, challenge, Parameters.FIELD_MODULUS),
                words[i],
                Parameters.FIELD_MODULUS
            );
        }
    }

    /// @dev The signed hash covers everything but the proofs, which anybody can turn into others of the same statements.
    function _hashBatch(Batch calldata batch) private pure returns (bytes32) {
        uint256 count = batch.fills.length;
        bytes32[] memory hashes = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            hashes[i] = keccak256(abi.encode(FILL_TYPEHASH, batch.fills[i]));
        }
        return
            keccak256(
                abi.encode(
                    SETTLEMENT_TYPEHASH,
                    batch.operator,
                    batch.sequence,
                    batch.journalHead,
                    batch.root,
                    batch.validUntil,
                    keccak256(abi.encodePacked(hashes)),
                    keccak256(abi.encodePacked(batch.residuals)),
                    keccak256(batch.ciphertext),
                    batch.commitment
                )
            );
    }
}
