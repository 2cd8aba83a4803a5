// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Parameters} from "../generated/Parameters.sol";
import {IMeasurements} from "../interfaces/IMeasurements.sol";

contract Measurements is IMeasurements {
    address public immutable GOVERNOR;
    address public immutable GUARDIAN;

    /// @inheritdoc IMeasurements
    mapping(bytes32 measurement => uint256 time) public allowedFrom;

    /// @param first Allowed from the start: nobody has locked anything yet.
    constructor(address governor, address guardian, bytes32[] memory first) {
        GOVERNOR = governor;
        GUARDIAN = guardian;
        for (uint256 i = 0; i < first.length; i++) _allow(first[i], block.timestamp);
    }

    /// @inheritdoc IMeasurements
    function propose(bytes32 measurement) external {
        if (msg.sender != GOVERNOR) revert NotGovernor(msg.sender);
        _allow(measurement, block.timestamp + Parameters.MEASUREMENT_DELAY_SECONDS);
    }

    /// @inheritdoc IMeasurements
    function remove(bytes32 measurement) external {
        if (msg.sender != GUARDIAN && msg.sender != GOVERNOR) revert NotGuardian(msg.sender);
        if (allowedFrom[measurement] == 0) revert MeasurementUnknown(measurement);
        delete allowedFrom[measurement];
        emit MeasurementRemoved(measurement);
    }

    /// @inheritdoc IMeasurements
    function isAllowed(bytes32 measurement) external view returns (bool) {
        uint256 from = allowedFrom[measurement];
        return from != 0 && from <= block.timestamp;
    }

    function _allow(bytes32 measurement, uint256 from) private {
        if (allowedFrom[measurement] != 0) revert MeasurementKnown(measurement);
        allowedFrom[measurement] = from;
        emit MeasurementProposed(measurement, from);
    }
}
