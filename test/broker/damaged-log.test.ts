/** A log that the disk has damaged, as a client meets it: an error for that partition, and the broker serves on. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorName } from '../../protocol/errors.ts'
import { batchOf, fetchOne, produceOne, valuesOf } from './batches.ts'
import { startHost } from './host.ts'

test('a Fetch of a damaged batch gets CORRUPT_MESSAGE; what stands in front of it and other partitions are served', async () => {
  const overrides = ['log.segment.bytes=1048576']
  const host = await startHost({ overrides })
  await host.createTopic('t', 2)
  try {
    const client = host.connect()
    const produce = async (index: number, value: string) => {
      const { responses } = await client.call(
        'Produce',
        9,
        produceOne('t', index, await batchOf([value])),
      )
      return responses[0]!.partitionResponses[0]!.errorCode
    }
    for (const value of ['a', 'b', 'c'.repeat(700_000), 'd'.repeat(700_000)]) {
      assert.equal(await produce(0, value), 0)
    }
    await produce(1, 'other')
    const { log } = host.broker.replicas.partition('t', 0)
    assert.equal(log.segments.length, 2)
    const sizeOfA = (await batchOf(['a'])).length
    const file = await host.disk.open(`${log.segments[0]!.path}.log`)
    file.writeAt(sizeOfA + 65, Buffer.from([0x7f]))
    const read = async (index: number, offset: number) => {
      const { responses } = await client.call('Fetch', 11, fetchOne('t', index, offset, {}))
      const partition = responses[0]!.partitions[0]!
      return { error: errorName(partition.errorCode), records: partition.records }
    }
    const damaged = await read(0, 1)
    assert.deepEqual([damaged.error, damaged.records?.length ?? 0], ['CORRUPT_MESSAGE', 0])
    assert.deepEqual(await valuesOf((await read(1, 0)).records), ['other'])
    assert.equal((await read(0, 3)).error, 'NONE')
    assert.equal(await produce(0, 'e'), 0)
    assert.equal(log.damage.count, 1)
  } finally {
    await host.stop()
  }
  assert.equal(host.broker.budget.used, 0)
})
