// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice Calls the pool back whenever it is called: by a token's hook, or with native currency. It keeps what the pool answered.
contract Reenterer {
    struct Attempt {
        bytes data;
        uint256 value;
    }

    error Refused();

    address private _pool;
    bool private _refuses;
    Attempt[] private _attempts;
    bytes[] private _answers;

    function prepare(address pool, Attempt[] calldata attempts) external payable {
        _pool = pool;
        delete _attempts;
        for (uint256 i = 0; i < attempts.length; ++i) _attempts.push(attempts[i]);
    }

    /// @notice Native currency is refused from now on.
    function setRefuses(bool refuses) external {
        _refuses = refuses;
    }

    /// @notice For each attempt of each callback, what it reverted with; a single byte 1 for one that went through.
    function answers() external view returns (bytes[] memory) {
        return _answers;
    }

    function tokensMoved() external {
        _reenter();
    }

    receive() external payable {
        if (_refuses) revert Refused();
        _reenter();
    }

    function _reenter() private {
        for (uint256 i = 0; i < _attempts.length; ++i) {
            (bool accepted, bytes memory answer) = _pool.call{value: _attempts[i].value}(_attempts[i].data);
            _answers.push(accepted ? bytes(hex"01") : answer);
        }
    }
}
