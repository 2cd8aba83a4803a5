// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Parameters} from "../generated/Parameters.sol";
import {IQuoteVerifier} from "../interfaces/IQuoteVerifier.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";

/// @title Takes an era's word for it, on development chains.
/// @notice The evidence is a signature by the era's own signer: it shows that somebody holds that key, and nothing about an enclave.
contract DevelopmentQuoteVerifier is IQuoteVerifier {
    error DevelopmentOnly(uint256 chainId);

    constructor() {
        if (!Parameters.isDevelopmentChain(block.chainid)) revert DevelopmentOnly(block.chainid);
    }

    /// @inheritdoc IQuoteVerifier
    function verify(
        uint256 operator,
        IRegistry.Era calldata era,
        bytes32 nonce,
        bytes calldata evidence
    ) external view returns (uint40) {
        bytes32 digest = keccak256(abi.encode(block.chainid, msg.sender, operator, era, nonce));
        (address signer, ECDSA.RecoverError failure, ) = ECDSA.tryRecover(digest, evidence);
        return failure == ECDSA.RecoverError.NoError && signer == era.signer ? era.expiry : 0;
    }
}
