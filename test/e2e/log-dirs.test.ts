/** A broker with several data directories, and one with many partitions under a small `ulimit`. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { tier } from '../tiers.ts'
import { connect, countAll, createTopic, produceToAll } from './connection.ts'
import { OTTLA, runWell, startOttla, subjectIsKafka, temporaryDirectory } from './harness.ts'

const notOurs = subjectIsKafka && 'this is about our broker'
const SEGMENTS = 5
const OPEN_FILES = 1024
/** Above what such a broker takes on its own, by a good half. */
const MAX_RESIDENT_MB = 400

function namesIn(directory: string): string[] {
  return readdirSync(directory).filter(name => /^t-\d+$/.test(name))
}

test('a directory that is taken away under the broker: the others go on, a restart without it too', {
  skip: notOurs,
}, async () => {
  const home = temporaryDirectory('log-dirs')
  const [first, second] = [join(home, 'first'), join(home, 'second')]
  const overrides = { 'log.dirs': `${first},${second}` }
  let server = await startOttla({ dataDir: home, overrides })
  let connection = await connect(server)
  const id = await createTopic(connection, 't', 4, { 'segment.bytes': '1048576' })
  const kept = namesIn(first).map(name => Number(name.slice(2)))
  const lost = namesIn(second).map(name => Number(name.slice(2)))
  assert.deepEqual([kept.length, lost.length], [2, 2])
  const value = Buffer.alloc(700_000, 'v')
  const write = (indexes: readonly number[]) =>
    produceToAll(connection, 't', id, indexes, { timestamp: Date.now(), value })
  assert.deepEqual(await write([0, 1, 2, 3]), ['NONE', 'NONE', 'NONE', 'NONE'])
  rmSync(second, { recursive: true })
  // The next segment has no directory to be made in.
  for (const index of [...lost, ...lost]) await write([index])
  assert.deepEqual(await write(lost), ['KAFKA_STORAGE_ERROR', 'KAFKA_STORAGE_ERROR'])
  assert.deepEqual(await write(kept), ['NONE', 'NONE'])
  assert.match(server.output(), /data directory offline/)
  assert.deepEqual(await countAll(connection, 't', id, kept), [2, 2])
  connection.close()
  assert.equal(await server.stop(), 0)
  // Its name is there again, as that of an empty mount point: nothing is made anew in it.
  server = await startOttla({ dataDir: home, overrides, port: server.port })
  connection = await connect(server)
  assert.deepEqual(await write(lost), ['KAFKA_STORAGE_ERROR', 'KAFKA_STORAGE_ERROR'])
  assert.deepEqual(await write(kept), ['NONE', 'NONE'])
  assert.deepEqual(namesIn(second), [])
  assert.match(server.output(), /data directory missing/)
  // Lost for good: they come back, empty, when somebody says so; also after the next start.
  const args = [OTTLA, 'topic', 'elect', 't', '--unclean', '--bootstrap', server.bootstrap]
  const elected = await runWell(process.execPath, args)
  assert.equal(elected.toString(), lost.map(index => `t-${index} has a leader\n`).join(''))
  assert.deepEqual(await countAll(connection, 't', id, lost), [0, 0])
  assert.deepEqual(await write(lost), ['NONE', 'NONE'])
  connection.close()
  assert.equal(await server.stop(), 0)
  server = await startOttla({ dataDir: home, overrides, port: server.port })
  assert.equal(server.output().match(/data directory missing/g)?.length, 1, 'of the start before')
  connection = await connect(server)
  assert.deepEqual(await countAll(connection, 't', id, [...kept, ...lost]), [3, 3, 1, 1])
  connection.close()
  assert.equal(await server.stop(), 0)
})

test('the directory with the metadata is taken away: the broker says so and ends with exit code 1', {
  skip: notOurs,
}, async () => {
  const home = temporaryDirectory('log-dirs')
  const [first, second] = [join(home, 'first'), join(home, 'second')]
  const server = await startOttla({
    dataDir: home,
    overrides: { 'log.dirs': `${first},${second}` },
  })
  const connection = await connect(server)
  const id = await createTopic(connection, 't', 2, { 'segment.bytes': '1048576' })
  rmSync(first, { recursive: true })
  const value = Buffer.alloc(700_000, 'v')
  for (let i = 0; i < 2; i++) {
    await produceToAll(connection, 't', id, [0, 1], { timestamp: Date.now(), value }).catch(
      () => {},
    )
  }
  assert.equal(await server.ended, 1)
  assert.match(server.output(), /which holds the metadata, is offline/)
})

test(`${tier.partitions} partitions with ${SEGMENTS} segments each under ulimit -n ${OPEN_FILES}`, {
  skip: notOurs,
}, async t => {
  const home = temporaryDirectory('many-partitions')
  let server = await startOttla({ dataDir: home, openFiles: OPEN_FILES })
  let connection = await connect(server)
  const all = Array.from({ length: tier.partitions }, (_, index) => index)
  // Each record is later by more than a segment may span.
  const id = await createTopic(connection, 'many', tier.partitions, { 'segment.ms': '1000' })
  const beganMs = Date.now() - 60_000
  for (let i = 0; i < SEGMENTS; i++) {
    const record = { timestamp: beganMs + i * 5000, value: Buffer.from(`value ${i}`) }
    const errors = await produceToAll(connection, 'many', id, all, record)
    assert.deepEqual([...new Set(errors)], ['NONE'])
  }
  const inStatus = (name: string) => {
    const status = readFileSync(`/proc/${server.pid}/status`, 'utf8')
    return Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)![1])
  }
  const look = (when: string) => {
    const descriptors = readdirSync(`/proc/${server.pid}/fd`).length
    const residentMb = Math.round(inStatus('VmRSS') / 1024)
    t.diagnostic(`${when}: ${descriptors} descriptors, ${residentMb} MB resident`)
    assert(descriptors < OPEN_FILES)
    assert(residentMb < MAX_RESIDENT_MB, `${residentMb} MB`)
  }
  const expected = all.map(() => SEGMENTS)
  look('written')
  assert.deepEqual(await countAll(connection, 'many', id, all), expected)
  look('read')
  connection.close()
  assert.equal(await server.stop(), 0)
  server = await startOttla({ dataDir: home, openFiles: OPEN_FILES, port: server.port })
  look('started again')
  connection = await connect(server)
  assert.deepEqual(await countAll(connection, 'many', id, all), expected)
  const record = { timestamp: Date.now(), value: Buffer.from('again') }
  assert.deepEqual([...new Set(await produceToAll(connection, 'many', id, all, record))], ['NONE'])
  look('used again')
  connection.close()
  assert.equal(await server.stop(), 0)
  const segments = readdirSync(join(home, 'data', 'many-0')).filter(name => name.endsWith('.log'))
  assert.equal(segments.length, SEGMENTS + 1)
})
