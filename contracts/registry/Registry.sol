// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {Parameters} from "../generated/Parameters.sol";
import {IQuoteVerifier} from "../interfaces/IQuoteVerifier.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";

contract Registry is IRegistry {
    struct Operator {
        address admin;
        uint64 era;
        address proposedAdmin;
        uint40 acceptableAt;
    }

    /// A time before all blocks.
    uint256 private constant REVOKED = 1;

    TimelockController public immutable TIMELOCK;

    /// @inheritdoc IRegistry
    address public quoteVerifier;
    uint256 private _operators;
    mapping(uint256 operator => Operator) private _operator;
    /// Unix seconds; 0 where a signer was never registered. Per operator, so that nobody can take another's signer away.
    mapping(uint256 operator => mapping(address signer => uint256 expiry)) private _expiry;

    constructor(TimelockController timelock, address firstQuoteVerifier) {
        uint256 delay = timelock.getMinDelay();
        if (delay < Parameters.TIMELOCK_SECONDS_MIN) revert TimelockTooShort(delay);
        TIMELOCK = timelock;
        _setQuoteVerifier(firstQuoteVerifier);
    }

    modifier onlyAdmin(uint256 operator) {
        if (msg.sender != _operator[operator].admin) revert NotAdmin(operator, msg.sender);
        _;
    }

    /// @inheritdoc IRegistry
    function registerOperator() external returns (uint256 operator) {
        operator = ++_operators;
        _operator[operator].admin = msg.sender;
        emit OperatorRegistered(operator, msg.sender);
    }

    /// @inheritdoc IRegistry
    function registerEra(uint256 operator, Era calldata newEra, bytes calldata evidence) external onlyAdmin(operator) {
        uint64 next = _operator[operator].era + 1;
        if (newEra.number != next) revert EraNotNext(newEra.number, next);
        uint256 latest = block.timestamp + Parameters.ERA_SECONDS_MAX;
        if (newEra.expiry <= block.timestamp || newEra.expiry > latest) {
            revert EraExpiry(newEra.expiry, block.timestamp + 1, latest);
        }
        if (newEra.signer == address(0)) revert SignerMissing();
        // A key is for one era: what was revoked does not come back, and nothing lives longer than an era.
        if (_expiry[operator][newEra.signer] != 0) revert SignerUsed(operator, newEra.signer);
        if (!IQuoteVerifier(quoteVerifier).verify(operator, newEra, evidence)) revert EvidenceRefused(operator, next);
        _operator[operator].era = next;
        _expiry[operator][newEra.signer] = newEra.expiry;
        emit EraRegistered(operator, next, newEra.signer, newEra.encryptionKey, newEra.apiKey, newEra.expiry);
    }

    /// @inheritdoc IRegistry
    function revokeSigner(uint256 operator, address signer) external onlyAdmin(operator) {
        _expiry[operator][signer] = REVOKED;
        emit SignerRevoked(operator, signer);
    }

    /// @inheritdoc IRegistry
    function proposeAdmin(uint256 operator, address newAdmin) external onlyAdmin(operator) {
        uint256 acceptableAt = block.timestamp + TIMELOCK.getMinDelay();
        _operator[operator].proposedAdmin = newAdmin;
        _operator[operator].acceptableAt = uint40(acceptableAt);
        emit AdminProposed(operator, newAdmin, acceptableAt);
    }

    /// @inheritdoc IRegistry
    function acceptAdmin(uint256 operator) external {
        Operator storage found = _operator[operator];
        if (msg.sender != found.proposedAdmin) revert NotProposedAdmin(operator, msg.sender);
        if (block.timestamp < found.acceptableAt) revert TooEarly(found.acceptableAt, block.timestamp);
        found.admin = msg.sender;
        found.proposedAdmin = address(0);
        emit AdminSet(operator, msg.sender);
    }

    /// @inheritdoc IRegistry
    function setQuoteVerifier(address newQuoteVerifier) external {
        if (msg.sender != address(TIMELOCK)) revert NotTimelock(msg.sender);
        _setQuoteVerifier(newQuoteVerifier);
    }

    /// @inheritdoc IRegistry
    function isActive(uint256 operator, address signer) external view returns (bool) {
        return block.timestamp < _expiry[operator][signer];
    }

    /// @inheritdoc IRegistry
    function admin(uint256 operator) external view returns (address) {
        return _operator[operator].admin;
    }

    /// @inheritdoc IRegistry
    function era(uint256 operator) external view returns (uint64) {
        return _operator[operator].era;
    }

    function _setQuoteVerifier(address newQuoteVerifier) private {
        if (newQuoteVerifier.code.length == 0) revert QuoteVerifierMissing();
        quoteVerifier = newQuoteVerifier;
        emit QuoteVerifierSet(newQuoteVerifier);
    }
}
