// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Parameters} from "../../../contracts/generated/Parameters.sol";
import {IVerifier} from "../../../contracts/interfaces/IVerifier.sol";

/// @title Stands in for the verifier in tests that need more proofs than can be made.
/// @notice Accepts exactly the statements that its deployer registered: those for which a witness was computed and checked against the
///         circuit's constraints. Everything that is malformed is refused as the verifier refuses it.
/// @dev It exists among the tests only, where nothing that deploys looks for contracts, and does not start on a chain for value.
contract DoubledVerifier is IVerifier {
    /// @dev Order of the field of the curve's coordinates.
    uint256 private constant BASE_MODULUS = 0x30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47;
    uint256 private constant PROOF_WORDS = 8;
    uint256 private constant PAIRING = 0x08;

    address public immutable REGISTRAR;
    /// keccak of a circuit and its public signals.
    mapping(bytes32 statement => bool) public isRegistered;
    /// By the identifier of the circuit.
    uint256[] private _signalCounts;

    error NotRegistrar(address caller);

    constructor(uint256[] memory signalCounts) {
        if (!Parameters.isDevelopmentChain(block.chainid)) revert DevelopmentKey(block.chainid);
        REGISTRAR = msg.sender;
        _signalCounts = signalCounts;
    }

    /// @param statement What `statementOf` gives.
    function register(bytes32 statement) external {
        if (msg.sender != REGISTRAR) revert NotRegistrar(msg.sender);
        isRegistered[statement] = true;
    }

    /// @inheritdoc IVerifier
    function verify(Claim[] calldata claims) external view returns (bool) {
        uint256 count = claims.length;
        if (count == 0) revert NoClaims();
        for (uint256 i = 0; i < count; ++i) {
            if (claims[i].circuit >= _signalCounts.length) revert UnknownCircuit(claims[i].circuit);
            if (i > 0 && claims[i].circuit < claims[i - 1].circuit) {
                revert ClaimsOutOfOrder(i, claims[i - 1].circuit, claims[i].circuit);
            }
            _checkSignals(claims[i], i);
        }
        bool hold = true;
        for (uint256 i = 0; i < count; ++i) hold = _holds(claims[i]) && hold;
        return hold;
    }

    function statementOf(uint256 circuit, uint256[] calldata signals) public pure returns (bytes32) {
        return keccak256(abi.encode(circuit, signals));
    }

    /// @dev The word of the only proof that the statement has here. Below 2^248, so that it passes for a coordinate.
    function proofWord(bytes32 statement, uint256 position) public pure returns (uint256) {
        return uint256(keccak256(abi.encode(statement, position))) >> 8;
    }

    function _checkSignals(Claim calldata claim, uint256 index) private view {
        uint256 expected = _signalCounts[claim.circuit];
        if (claim.signals.length != expected) revert WrongSignalCount(index, expected, claim.signals.length);
        for (uint256 i = 0; i < expected; ++i) {
            if (claim.signals[i] >= Parameters.FIELD_MODULUS) revert SignalNotInField(index, i, claim.signals[i]);
        }
    }

    function _holds(Claim calldata claim) private view returns (bool) {
        bytes32 statement = statementOf(claim.circuit, claim.signals);
        bool bound = true;
        for (uint256 i = 0; i < PROOF_WORDS; ++i) {
            if (claim.proof[i] >= BASE_MODULUS) revert PrecompileFailed(PAIRING);
            if (claim.proof[i] != proofWord(statement, i)) bound = false;
        }
        return bound && isRegistered[statement];
    }
}
