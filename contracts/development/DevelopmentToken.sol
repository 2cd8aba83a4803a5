// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {Parameters} from "../generated/Parameters.sol";

/// @notice A token without value that anybody can mint, for development chains.
contract DevelopmentToken is ERC20 {
    error NotADevelopmentChain(uint256 chainId);

    constructor() ERC20("Development Dollar", "DUSD") {
        if (!Parameters.isDevelopmentChain(block.chainid)) revert NotADevelopmentChain(block.chainid);
    }

    /// @return Six, as the dollar tokens have it.
    function decimals() public pure override returns (uint8) {
        return 6;
    }

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}
