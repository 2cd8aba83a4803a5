// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Parameters} from "../generated/Parameters.sol";
import {IPool} from "../interfaces/IPool.sol";
import {IPoseidon3} from "../interfaces/IPoseidon3.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";
import {IVerifier} from "../interfaces/IVerifier.sol";
import {LeafQueue} from "./LeafQueue.sol";
import {Nullifiers} from "./Nullifiers.sol";
import {Settlement} from "./Settlement.sol";

contract Pool is Settlement, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    TimelockController public immutable TIMELOCK;

    /// @inheritdoc IPool
    address public guardian;
    /// @inheritdoc IPool
    mapping(address asset => uint256 amount) public held;

    constructor(
        IVerifier verifier,
        IPoseidon3 poseidon,
        IRegistry registry,
        TimelockController timelock,
        address firstGuardian,
        uint256 bucketAge
    ) LeafQueue(verifier, bucketAge) Nullifiers(poseidon) Settlement(registry) {
        uint256 delay = timelock.getMinDelay();
        if (delay < Parameters.TIMELOCK_SECONDS_MIN) revert TimelockTooShort(delay);
        TIMELOCK = timelock;
        _setGuardian(firstGuardian);
    }

    modifier onlyTimelock() {
        if (msg.sender != address(TIMELOCK)) revert NotTimelock(msg.sender);
        _;
    }

    /// @inheritdoc IPool
    function deposit(
        address asset,
        uint256 amount,
        uint256 stealth,
        bytes calldata ciphertext
    ) external payable nonReentrant returns (uint256 leaf) {
        if (_depositsPaused()) revert DepositsArePaused();
        if (amount == 0 || amount > Parameters.AMOUNT_MAX) revert AmountOutOfRange(amount);
        if (stealth >= Parameters.FIELD_MODULUS) revert NotInField(stealth);
        _checkCiphertext(ciphertext, Parameters.DEPOSIT_CIPHERTEXT_BYTES);
        _receive(asset, amount);

        uint256[] memory leaves = new uint256[](1);
        leaves[0] = POSEIDON.hash(uint160(asset), amount, stealth);
        leaf = _append(leaves);
        emit Deposited(leaf, asset, amount, leaves[0], ciphertext);
    }

    /// @inheritdoc IPool
    function transfer(Transfer calldata transfer_, ExtData calldata extData) external nonReentrant {
        _checkCiphertext(extData.ciphertext, Parameters.TRANSFER_CIPHERTEXT_BYTES);
        _checkWithdrawal(transfer_, extData);
        if (!isKnownRoot[transfer_.root]) revert UnknownRoot(transfer_.root);
        if (transfer_.validAfter > block.timestamp) revert NotYetValid(transfer_.validAfter, block.timestamp);

        (uint256 challenge, uint256 evaluation) = _evaluate(transfer_, _hashExtData(extData));
        uint256[] memory signals = new uint256[](Parameters.TRANSFER_SIGNALS);
        signals[Parameters.TRANSFER_ROOT] = transfer_.root;
        signals[Parameters.TRANSFER_MESSAGE] = transfer_.message;
        signals[Parameters.TRANSFER_CHALLENGE] = challenge;
        signals[Parameters.TRANSFER_EVALUATION] = evaluation;
        _verify(Parameters.TRANSFER, transfer_.proof, signals);

        // Marked one after another: the same nullifier twice in one call fails too.
        for (uint256 i = 0; i < Parameters.TRANSFER_INPUTS; ++i) _spend(transfer_.nullifiers[i]);
        uint256[] memory leaves = new uint256[](Parameters.TRANSFER_OUTPUTS);
        for (uint256 i = 0; i < Parameters.TRANSFER_OUTPUTS; ++i) leaves[i] = transfer_.commitments[i];
        uint256 firstLeaf = _append(leaves);
        emit Transferred(firstLeaf, transfer_.nullifiers, transfer_.commitments, extData.ciphertext);
        if (transfer_.withdrawAmount != 0) _payOut(transfer_.publicAsset, transfer_.withdrawAmount, extData);
    }

    /// @inheritdoc IPool
    function settle(Batch calldata batch, bytes calldata signature) external nonReentrant {
        _settle(batch, signature);
    }

    /// @inheritdoc IPool
    function close() external nonReentrant {
        _closeOpenBucket();
    }

    /// @inheritdoc IPool
    function insert(
        uint256 bucket,
        uint256[] calldata leaves,
        uint256 newRoot,
        uint256 bucketRoot,
        uint256[8] calldata proof
    ) external nonReentrant {
        _insert(bucket, leaves, newRoot, bucketRoot, proof);
    }

    /// @inheritdoc IPool
    function pauseDeposits() external {
        if (msg.sender != guardian) revert NotGuardian(msg.sender);
        _setDepositsPaused(true);
    }

    /// @inheritdoc IPool
    function unpauseDeposits() external onlyTimelock {
        _setDepositsPaused(false);
    }

    /// @inheritdoc IPool
    function setGuardian(address newGuardian) external onlyTimelock {
        _setGuardian(newGuardian);
    }

    function _setGuardian(address newGuardian) private {
        if (newGuardian == address(0)) revert GuardianMissing();
        guardian = newGuardian;
        emit GuardianSet(newGuardian);
    }

    /// @dev z = keccak(root, message, shown values) mod p, and the sum of shown_i · z^i.
    ///      message commits to the values of the proof before z is known, so different values agree at z with a probability below 9 / p. The sum is
    ///      taken modulo p, which would let a value pass for its aliases: each is checked to be below p here.
    function _evaluate(
        Transfer calldata transfer_,
        uint256 extDataHash
    ) private pure returns (uint256 challenge, uint256 evaluation) {
        uint256 modulus = Parameters.FIELD_MODULUS;
        uint256 aliased;
        assembly ("memory-safe") {
            let buffer := mload(0x40)
            // root, message, nullifiers, commitments, withdrawAmount and publicAsset stand together in the calldata, in this order.
            calldatacopy(buffer, add(transfer_, 0x100), 0x120)
            mstore(add(buffer, 0x120), extDataHash)
            calldatacopy(add(buffer, 0x140), add(transfer_, 0x220), 0x20)
            challenge := mod(keccak256(buffer, 0x160), modulus)
            for {
                let at := add(buffer, 0x140)
                let first := add(buffer, 0x40)
            } iszero(lt(at, first)) {
                at := sub(at, 0x20)
            } {
                let value := mload(at)
                if iszero(lt(value, modulus)) {
                    aliased := value
                }
                evaluation := addmod(mulmod(evaluation, challenge, modulus), value, modulus)
            }
        }
        if (aliased != 0) revert NotInField(aliased);
    }

    function _checkCiphertext(bytes calldata ciphertext, uint256 expected) private pure {
        if (ciphertext.length != expected) revert CiphertextLength(expected, ciphertext.length);
    }

    function _checkWithdrawal(Transfer calldata transfer_, ExtData calldata extData) private view {
        uint256 amount = transfer_.withdrawAmount;
        if (amount > Parameters.AMOUNT_MAX) revert AmountOutOfRange(amount);
        if ((transfer_.publicAsset == address(0)) != (amount == 0)) revert PublicAsset(transfer_.publicAsset, amount);
        if (extData.fee > amount) revert FeeAboveAmount(extData.fee, amount);
        // What nobody could ever move again is refused, not burnt.
        if ((extData.recipient == address(0)) != (amount == 0) || extData.recipient == address(this)) {
            revert Recipient(extData.recipient);
        }
        if ((extData.relayer == address(0)) != (extData.fee == 0) || extData.relayer == address(this)) {
            revert Relayer(extData.relayer, extData.fee);
        }
    }

    function _hashExtData(ExtData calldata extData) private view returns (uint256) {
        bytes32 digest = keccak256(
            abi.encode(
                block.chainid,
                address(this),
                extData.recipient,
                extData.relayer,
                extData.fee,
                keccak256(extData.ciphertext)
            )
        );
        return uint256(digest) % Parameters.FIELD_MODULUS;
    }

    /// @dev Takes exactly `amount`. What a token really moved is the difference of balances, and anything else than `amount` is refused.
    function _receive(address asset, uint256 amount) private {
        bool isNative = asset == Parameters.NATIVE_ASSET;
        uint256 value = isNative ? amount : 0;
        if (msg.value != value) revert NativeValue(value, msg.value);
        if (isNative) return;

        if (asset.code.length == 0) revert AssetNotContract(asset);
        uint256 owed = held[asset];
        uint256 balance = IERC20(asset).balanceOf(address(this));
        if (balance < owed) revert AssetDeficit(asset, owed, balance);
        IERC20(asset).safeTransferFrom(msg.sender, address(this), amount);
        uint256 balanceAfter = IERC20(asset).balanceOf(address(this));
        if (balanceAfter < balance || balanceAfter - balance != amount) {
            revert ReceivedAmount(amount, balanceAfter > balance ? balanceAfter - balance : 0);
        }
        held[asset] = owed + amount;
    }

    function _payOut(address asset, uint256 amount, ExtData calldata extData) private {
        emit Withdrawn(asset, amount, extData.recipient, extData.relayer, extData.fee);
        if (asset != Parameters.NATIVE_ASSET) held[asset] -= amount;
        _send(asset, extData.recipient, amount - extData.fee);
        _send(asset, extData.relayer, extData.fee);
    }

    function _send(address asset, address to, uint256 amount) private {
        // There are tokens, and recipients, that refuse to be given nothing.
        if (amount == 0) return;
        if (asset == Parameters.NATIVE_ASSET) {
            Address.sendValue(payable(to), amount);
        } else {
            IERC20(asset).safeTransfer(to, amount);
        }
    }
}
