/**
 * A small file system filled to the brim by a producer: clear errors, reads and `ottla topic delete` work, space returns,
 * produce resumes without a restart; a restart on a full disk works. Once with the watermark, once with a disk that is
 * full to the last byte, filled by somebody else.
 *
 * Needs a tmpfs of its own, so the right to mount; says so where there is none.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { closeSync, existsSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Kafka, logLevel } from 'kafkajs'
import { OTTLA, pause, run, type Server, startOttla, temporaryDirectory, until } from './harness.ts'

const MIB = 1024 * 1024
const DISK_BYTES = 48 * MIB
const mounts: string[] = []
after(() => {
  for (const mount of mounts) spawnSync('umount', ['-l', mount])
})

function mountSmall(): string | null {
  const at = temporaryDirectory('small-disk')
  const options = ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'tmpfs', at]
  if (spawnSync('mount', options).status !== 0) return null
  mounts.push(at)
  return at
}

const cannotMount = (() => {
  const at = mountSmall()
  return at === null ? 'this process may not mount a file system' : false
})()

const ottla = (server: Server, ...args: string[]) =>
  run(process.execPath, [OTTLA, ...args, '--bootstrap', server.bootstrap])

function client(server: Server, retries: number): Kafka {
  const retry = { retries, initialRetryTime: 100, maxRetryTime: 500 }
  return new Kafka({ brokers: [server.bootstrap], retry, logLevel: logLevel.NOTHING })
}

const value = Buffer.alloc(64 * 1024, 'v')

/** Produces until it is refused; answers the acknowledged count and the words of the refusal. */
async function fill(server: Server, topic: string): Promise<{ count: number; words: string }> {
  const producer = client(server, 0).producer({ retry: { retries: 0 } })
  await producer.connect()
  let count = 0
  try {
    for (; count < DISK_BYTES / value.length + 100; count += 4) {
      await producer.send({ topic, acks: -1, messages: Array(4).fill({ value }) })
    }
    return { count, words: '' }
  } catch (error) {
    return { count, words: String((error as { type?: string }).type ?? error) }
  } finally {
    await producer.disconnect()
  }
}

async function readCount(server: Server, topic: string, expected: number): Promise<number> {
  const kafka = client(server, 5)
  const offsets = await kafka.admin().fetchTopicOffsets(topic)
  assert.equal(Number(offsets[0]!.high) >= expected, true)
  const read = await run('kcat', ['-b', server.bootstrap, '-C', '-t', topic, '-e', '-q', '-f', '.'])
  return read.stdout.length
}

async function produceOne(server: Server, topic: string, retries: number): Promise<void> {
  const producer = client(server, retries).producer({ retry: { retries } })
  await producer.connect()
  try {
    await producer.send({ topic, acks: -1, messages: [{ value: 'again' }] })
  } finally {
    await producer.disconnect()
  }
}

async function create(server: Server, topic: string): Promise<void> {
  const made = await ottla(server, 'topic', 'create', topic)
  assert.equal(made.code, 0, made.stderr)
}

test('a disk that a producer fills stops producers only', { skip: cannotMount }, async () => {
  const mount = mountSmall()!
  // What the broker says goes elsewhere: the harness writes it to a file.
  const home = temporaryDirectory('full-broker')
  const logDir = { 'log.dirs': join(mount, 'data') }
  const overrides = { ...logDir, 'log.segment.bytes': String(4 * MIB) }
  let server = await startOttla({ dataDir: home, overrides })
  await create(server, 'filled')
  await create(server, 'other')
  await pause(1500)
  const { count, words } = await fill(server, 'filled')
  assert.match(words, /Disk error when trying to access/)
  assert(count * value.length > DISK_BYTES / 2, `${count} records`)
  assert.match(server.output(), /producers are refused/)
  assert.equal(await readCount(server, 'filled', count), count)
  const refused = await ottla(server, 'topic', 'create', 'one-more')
  assert.notEqual(refused.code, 0)
  assert.match(refused.stderr, /log\.dir\.free\.bytes\.min|KAFKA_STORAGE_ERROR/)
  assert.equal(await server.stop(), 0)
  server = await startOttla({ dataDir: home, overrides, port: server.port })
  assert.equal(await readCount(server, 'filled', count), count)
  // A client that retries gets through as soon as there is room.
  const resumed = produceOne(server, 'other', 40)
  const deleted = await ottla(server, 'topic', 'delete', 'filled', '--yes')
  assert.equal(deleted.code, 0, deleted.stderr)
  await resumed
  assert.equal(await server.stop(), 0)
})

test('a disk that is full to the last byte', { skip: cannotMount }, async () => {
  const mount = mountSmall()!
  // A start leaves the watermark out: what is tested is the disk's own limit.
  // What the broker says goes elsewhere: the harness writes it to a file.
  const home = temporaryDirectory('full-broker')
  const logDir = { 'log.dirs': join(mount, 'data') }
  const overrides = {
    ...logDir,
    'log.segment.bytes': String(4 * MIB),
    'log.dir.free.bytes.min': '0',
  }
  let server = await startOttla({ dataDir: home, overrides })
  await create(server, 'filled')
  await create(server, 'other')
  await reserveOf(mount)
  const { count, words } = await fill(server, 'filled')
  assert.match(words, /Disk error when trying to access/)
  const ballast = join(mount, 'ballast')
  fillUp(ballast)
  assert.equal(await readCount(server, 'filled', count), count)
  await assert.rejects(produceOne(server, 'other', 0))
  await server.kill9()
  server = await startOttla({ dataDir: home, overrides, port: server.port })
  assert.equal(await readCount(server, 'filled', count), count)
  const deleted = await ottla(server, 'topic', 'delete', 'filled', '--yes')
  assert.equal(deleted.code, 0, deleted.stderr + server.output())
  await produceOne(server, 'other', 40)
  rmSync(ballast)
  await produceOne(server, 'other', 40)
  assert.equal(await server.stop(), 0)
})

test('a clean stop on a disk that is full to the last byte', { skip: cannotMount }, async () => {
  const mount = mountSmall()!
  const home = temporaryDirectory('full-broker')
  const overrides = {
    'log.dirs': join(mount, 'data'),
    'log.segment.bytes': String(4 * MIB),
    'log.dir.free.bytes.min': '0',
  }
  let server = await startOttla({ dataDir: home, overrides })
  await create(server, 'filled')
  // A second after the start; on a machine with nothing else to do the disk is full by then.
  await reserveOf(mount)
  const { count } = await fill(server, 'filled')
  fillUp(join(mount, 'ballast'))
  assert.equal(await server.stop(), 0, server.output())
  server = await startOttla({ dataDir: home, overrides, port: server.port })
  assert.doesNotMatch(server.output(), /no clean stop/)
  assert.equal(await readCount(server, 'filled', count), count)
  rmSync(join(mount, 'ballast'))
  await produceOne(server, 'filled', 40)
  assert.equal(await server.stop(), 0)
})

function reserveOf(mount: string): Promise<void> {
  return until(() => existsSync(join(mount, 'data', '.ottla-reserve')), 'the reserve is there')
}

function fillUp(path: string): void {
  const file = openSync(path, 'w')
  for (const size of [MIB, 4096, 1]) {
    try {
      for (;;) writeSync(file, Buffer.alloc(size))
    } catch {
      // Nothing of this size fits any more.
    }
  }
  closeSync(file)
}
