/** DescribeLogDirs: the one directory, its space, and the partitions in it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { apis } from '../../../protocol/apis.ts'
import { batchOf, produceOne } from '../batches.ts'
import { versionsOf } from '../harness.ts'
import { type FakeClient, startHost } from '../host.ts'

async function withClient(run: (client: FakeClient, size: number) => Promise<void>): Promise<void> {
  const host = await startHost()
  await host.createTopic('a', 2)
  await host.createTopic('b')
  const client = host.connect()
  const records = await batchOf(['x'.repeat(500)])
  await client.call('Produce', 9, produceOne('a', 1, records))
  try {
    await run(client, records.length)
  } finally {
    await host.stop()
  }
  assert.deepEqual(host.loggedErrors, [])
}

type Topics = { topic: string; partitions: number[] }[] | null

async function sizes(
  client: FakeClient,
  topics: Topics,
  version = apis.DescribeLogDirs.versions[1],
) {
  const response = await client.call('DescribeLogDirs', version, { topics })
  const [directory, ...others] = response.results
  assert.equal(others.length, 0)
  assert.equal(directory!.errorCode, 0)
  assert.equal(directory!.logDir, '/ottla')
  const found: Record<string, number> = {}
  for (const { name, partitions } of directory!.topics) {
    for (const { partitionIndex, partitionSize, offsetLag, isFutureKey } of partitions) {
      assert.deepEqual({ offsetLag, isFutureKey }, { offsetLag: 0, isFutureKey: false })
      found[`${name}-${partitionIndex}`] = partitionSize
    }
  }
  return { found, directory: directory! }
}

for (const version of versionsOf('DescribeLogDirs')) {
  test(`version ${version} tells each partition's size, and from 4 on the space`, () =>
    withClient(async (client, size) => {
      const { found, directory } = await sizes(client, null, version)
      assert.deepEqual(found, { 'a-0': 0, 'a-1': size, 'b-0': 0 })
      const space = version < 4 ? -1 : 2 ** 40
      assert.equal(directory.totalBytes, space)
      assert.equal(directory.usableBytes, space)
    }))
}

test('only the partitions that are asked for are told; unknown ones are left out', () =>
  withClient(async (client, size) => {
    const { found } = await sizes(client, [
      { topic: 'a', partitions: [1, 7] },
      { topic: 'nowhere', partitions: [0] },
    ])
    assert.deepEqual(found, { 'a-1': size })
    assert.deepEqual((await sizes(client, [])).found, {})
  }))
