// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Parameters} from "../generated/Parameters.sol";
import {IPool} from "../interfaces/IPool.sol";
import {IPoseidon3} from "../interfaces/IPoseidon3.sol";

/// @notice What is spent: one mapping for the notes of all circuits and for the states of orders.
abstract contract Nullifiers is IPool {
    IPoseidon3 public immutable POSEIDON;

    /// @inheritdoc IPool
    mapping(uint256 nullifier => uint256 time) public spentFrom;

    constructor(IPoseidon3 poseidon) {
        POSEIDON = poseidon;
    }

    /// @inheritdoc IPool
    function isSpent(uint256 nullifier) public view returns (bool) {
        uint256 time = spentFrom[nullifier];
        return time != 0 && time <= block.timestamp;
    }

    /// @inheritdoc IPool
    function cancel(uint256[] calldata cancelKeys) external {
        uint256 from = block.timestamp + Parameters.CANCEL_DELAY_SECONDS;
        for (uint256 i = 0; i < cancelKeys.length; ++i) {
            if (cancelKeys[i] >= Parameters.FIELD_MODULUS) revert NotInField(cancelKeys[i]);
            uint256 orderNullifier = POSEIDON.hash(cancelKeys[i], 0, 0);
            // A second cancellation must not put off the first, and nothing that is spent comes back.
            if (spentFrom[orderNullifier] != 0) revert NullifierSpent(orderNullifier);
            spentFrom[orderNullifier] = from;
            emit OrderCancelled(orderNullifier, from);
        }
    }

    /// @dev Marks at once, so that the same nullifier twice in one call fails too.
    function _spend(uint256 nullifier) internal {
        if (isSpent(nullifier)) revert NullifierSpent(nullifier);
        spentFrom[nullifier] = block.timestamp;
    }
}
