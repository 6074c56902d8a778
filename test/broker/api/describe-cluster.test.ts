import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeCluster } from '../../../broker/api/describe-cluster.ts'
import { errorName } from '../../../protocol/errors.ts'
import { CLUSTER_ID, testBroker, versionsOf } from '../harness.ts'

const request = { includeClusterAuthorizedOperations: true }

test('every version has the cluster, its controller and its broker', async () => {
  const { call } = await testBroker({ overrides: ['broker.rack=r1'] })
  for (const version of versionsOf('DescribeCluster')) {
    const response = await call({ DescribeCluster: describeCluster }, request, version)
    assert.deepEqual(response, {
      throttleTimeMs: 0,
      errorCode: 0,
      errorMessage: null,
      endpointType: 1,
      clusterId: CLUSTER_ID,
      controllerId: 1,
      brokers: [{ brokerId: 1, host: '127.0.0.1', port: 9092, rack: 'r1', isFenced: false }],
      clusterAuthorizedOperations: 8096,
    })
  }
})

test('who wants controllers, or nobody knows what, is told that this is a broker', async () => {
  const { call } = await testBroker()
  for (const [endpointType, error, words] of [
    [2, 'MISMATCHED_ENDPOINT_TYPE', /we wanted an endpoint of type CONTROLLER$/],
    [7, 'UNSUPPORTED_ENDPOINT_TYPE', /^Unsupported endpoint type 7$/],
  ] as const) {
    const response = await call({ DescribeCluster: describeCluster }, { ...request, endpointType })
    assert.equal(errorName(response.errorCode), error)
    assert.match(response.errorMessage!, words)
    assert.deepEqual(response.brokers, [])
  }
})
