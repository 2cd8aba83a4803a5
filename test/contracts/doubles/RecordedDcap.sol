// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDcapAttestation} from "../../../contracts/interfaces/IDcapAttestation.sol";

/// @title Answers as a DCAP verifier on a chain does, with answers that a test gives it.
/// @dev The verification of a quote on a chain takes contracts with Intel's collateral, which no test's chain has.
contract RecordedDcap is IDcapAttestation {
    mapping(bytes32 quote => bytes output) private _output;
    bool private _isBroken;
    /// What an answer costs.
    uint256 public immutable GAS;

    constructor(uint256 gas) {
        GAS = gas;
    }

    /// From now on it answers nothing at all, as one does whose collateral has ended.
    function breakDown() external {
        _isBroken = true;
    }

    function record(bytes calldata quote, bytes calldata output) external {
        _output[keccak256(quote)] = output;
    }

    /// @inheritdoc IDcapAttestation
    function verifyAndAttestOnChain(bytes calldata rawQuote) external view returns (bool success, bytes memory output) {
        require(!_isBroken);
        // A verifier that runs out inside answers that the quote is wrong.
        if (gasleft() < GAS) return (false, "out of gas");
        output = _output[keccak256(rawQuote)];
        success = output.length != 0;
    }
}
