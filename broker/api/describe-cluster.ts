/** DescribeCluster: cluster id, controller and brokers. The other kind of endpoint, controllers, is not served. */
import { ProtocolError } from '../../protocol/errors.ts'
import { answerError } from '../answer-error.ts'
import { ALL_CLUSTER_OPERATIONS } from '../authorized-operations.ts'
import type { Handler } from '../context.ts'
import { advertisedEndpoint } from '../listeners.ts'

const BROKERS = 1
const CONTROLLERS = 2

export const describeCluster: Handler<'DescribeCluster'> = (broker, request, context) => {
  const { endpointType } = request
  if (endpointType !== BROKERS) {
    const error =
      endpointType === CONTROLLERS
        ? new ProtocolError(
            'MISMATCHED_ENDPOINT_TYPE',
            'The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER',
          )
        : new ProtocolError(
            'UNSUPPORTED_ENDPOINT_TYPE',
            `Unsupported endpoint type ${endpointType}`,
          )
    return { ...answerError(broker, context, error), clusterId: '', brokers: [] }
  }
  const { nodeId, brokerRack } = broker.config
  return {
    errorCode: 0,
    clusterId: broker.image.clusterId,
    controllerId: nodeId,
    brokers: [{ brokerId: nodeId, ...advertisedEndpoint(context), rack: brokerRack }],
    ...(request.includeClusterAuthorizedOperations && {
      clusterAuthorizedOperations: ALL_CLUSTER_OPERATIONS,
    }),
  }
}
