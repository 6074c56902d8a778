/** ElectLeaders where every partition has its leader; of those that have none see disk-gone.test.ts. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorName } from '../../../protocol/errors.ts'
import { versionsOf } from '../harness.ts'
import { startHost } from '../host.ts'

for (const version of versionsOf('ElectLeaders')) {
  test(`version ${version}: no election is needed, and what is not there is told, in Kafka's words`, async () => {
    const host = await startHost()
    await host.createTopic('t', 2)
    const client = host.connect()
    const unclean = version > 0 ? { electionType: 1 } : {}
    const answer = await client.call('ElectLeaders', version, {
      ...unclean,
      topicPartitions: [
        { topic: 't', partitions: [1, 2] },
        { topic: 'nope', partitions: [0] },
      ],
    })
    assert.deepEqual(
      answer.replicaElectionResults.flatMap(({ topic, partitionResult }) =>
        partitionResult.map(({ partitionId, errorCode, errorMessage }) => [
          `${topic}-${partitionId}`,
          errorName(errorCode),
          errorMessage,
        ]),
      ),
      [
        ['t-1', 'ELECTION_NOT_NEEDED', null],
        ['t-2', 'UNKNOWN_TOPIC_OR_PARTITION', 'No such partition as t-2'],
        ['nope-0', 'UNKNOWN_TOPIC_OR_PARTITION', 'No such topic as nope'],
      ],
    )
    const all = await client.call('ElectLeaders', version, { ...unclean, topicPartitions: null })
    assert.deepEqual(all.replicaElectionResults, [])
    await host.stop()
  })
}

test('an election of a kind that does not exist is refused as a whole', async () => {
  const host = await startHost()
  const asked = { electionType: 7, topicPartitions: null }
  const { errorCode } = await host.connect().call('ElectLeaders', 2, asked)
  assert.equal(errorName(errorCode), 'INVALID_REQUEST')
  await host.stop()
})
