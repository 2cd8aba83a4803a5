// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

interface IMoveHook {
    function tokensMoved() external;
}

/// @notice A token that is honest until it is told to misbehave. Everybody may move and change everything.
contract HostileToken {
    enum Answer {
        True,
        False,
        Nothing
    }

    error Frozen(address account);
    error NothingMoved();

    mapping(address account => uint256 amount) private _balances;
    mapping(address account => bool frozen) private _frozen;
    Answer private _answer;
    uint256 private _feePercent;
    bool private _refusesNothing;
    bool private _movesNothing;
    address private _hook;
    address private _deceived;
    uint256 private _reported;
    uint256 private _reportedAfterMove;

    function mint(address to, uint256 amount) external {
        _balances[to] += amount;
    }

    /// @notice A rebase, up or down.
    function setBalance(address account, uint256 amount) external {
        _balances[account] = amount;
    }

    /// @notice What transfers return from now on.
    function setAnswer(Answer answer) external {
        _answer = answer;
    }

    function setFeePercent(uint256 percent) external {
        _feePercent = percent;
    }

    function setFrozen(address account, bool frozen) external {
        _frozen[account] = frozen;
    }

    /// @notice Transfers of 0 revert.
    function setRefusesNothing(bool refuses) external {
        _refusesNothing = refuses;
    }

    /// @notice Transfers succeed and change nothing.
    function setMovesNothing(bool movesNothing) external {
        _movesNothing = movesNothing;
    }

    /// @notice Who is called within every transfer, before the balances change.
    function setHook(address hook) external {
        _hook = hook;
    }

    /// @notice What `deceived` is told that it has, before the next transfer and after it.
    function setReports(address deceived, uint256 before, uint256 afterMove) external {
        _deceived = deceived;
        _reported = before;
        _reportedAfterMove = afterMove;
    }

    function balanceOf(address account) external view returns (uint256) {
        return account == _deceived && account != address(0) ? _reported : _balances[account];
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        return _move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        return _move(from, to, amount);
    }

    function _move(address from, address to, uint256 amount) private returns (bool) {
        if (_frozen[from]) revert Frozen(from);
        if (_frozen[to]) revert Frozen(to);
        if (_refusesNothing && amount == 0) revert NothingMoved();
        if (_hook != address(0)) IMoveHook(_hook).tokensMoved();
        if (_answer != Answer.False && !_movesNothing) {
            _balances[from] -= amount;
            _balances[to] += amount - (amount * _feePercent) / 100;
        }
        _reported = _reportedAfterMove;
        if (_answer == Answer.Nothing) {
            assembly ("memory-safe") {
                return(0, 0)
            }
        }
        return _answer == Answer.True;
    }
}
