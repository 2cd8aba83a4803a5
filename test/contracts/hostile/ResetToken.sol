// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice A token as some old ones are: an allowance changes from 0 or to 0 only, and calls return nothing.
contract ResetToken {
    error AllowanceNotReset(uint256 allowance);

    mapping(address account => uint256 amount) public balanceOf;
    mapping(address owner => mapping(address spender => uint256 amount)) public allowance;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function approve(address spender, uint256 amount) external {
        uint256 before = allowance[msg.sender][spender];
        if (before != 0 && amount != 0) revert AllowanceNotReset(before);
        allowance[msg.sender][spender] = amount;
    }

    function transfer(address to, uint256 amount) external {
        _move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external {
        allowance[from][msg.sender] -= amount;
        _move(from, to, amount);
    }

    function _move(address from, address to, uint256 amount) private {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}
