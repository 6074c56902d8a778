import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync } from 'node:fs'
import { test } from 'node:test'
import { createLogger, type LogLevel } from '../../broker/pino-logger.ts'

const MODULE = new URL('../../broker/pino-logger.js', import.meta.url).href
const COLOUR = /\p{Cc}\[\d+m/gu

function recorder(level: LogLevel, isTTY: boolean) {
  const lines: string[] = []
  const write = (line: string) => lines.push(line)
  return { lines, logger: createLogger({ level, stream: { isTTY, write } }) }
}

test('off a terminal each event is one line of JSON: level, time, event, then its fields', () => {
  const { lines, logger } = recorder('info', false)
  logger.info('segment rolled', { topic: 'orders', partition: 0, list: [1], none: null })
  assert.equal(lines.length, 1)
  assert.match(lines[0]!, /^\{"level":"info","time":"[^"]+","event":"segment rolled","topic":/)
  assert.ok(lines[0]!.endsWith('}\n'))
  const { time, ...rest } = JSON.parse(lines[0]!)
  assert.equal(new Date(time).toISOString(), time)
  assert.deepEqual(rest, {
    level: 'info',
    event: 'segment rolled',
    topic: 'orders',
    partition: 0,
    list: [1],
    none: null,
  })
})

test('a level shows itself and what is graver, and silent shows nothing', () => {
  const expected: Record<LogLevel, string[]> = {
    debug: ['debug', 'info', 'warn', 'error'],
    info: ['info', 'warn', 'error'],
    warn: ['warn', 'error'],
    error: ['error'],
    silent: [],
  }
  for (const [level, shown] of Object.entries(expected)) {
    const { lines, logger } = recorder(level as LogLevel, false)
    logger.debug('event')
    logger.info('event')
    logger.warn('event')
    logger.error('event')
    assert.deepEqual(
      lines.map(line => JSON.parse(line).level),
      shown,
    )
  }
})

test('an error shows its type, message, stack and cause, under any name', () => {
  const { lines, logger } = recorder('info', false)
  const error = new RangeError('too far', { cause: new TypeError('wrong') })
  logger.error('request failed', { why: error })
  const { why } = JSON.parse(lines[0]!)
  assert.equal(why.type, 'RangeError')
  assert.match(why.message, /too far/)
  assert.match(why.stack, /RangeError: too far\n +at .*caused by: TypeError: wrong/s)
})

test('no field can replace what the line says itself', () => {
  const { lines, logger } = recorder('info', false)
  logger.info('real', { event: 'fake', level: 'fake', time: 0 })
  const parsed = JSON.parse(lines[0]!)
  assert.equal(parsed.event, 'real')
  assert.equal(parsed.level, 'info')
  assert.equal(parsed['field.event'], 'fake')
  assert.equal(parsed['field.time'], 0)
  assert.equal(lines[0]!.match(/"time":/g)!.length, 1)
})

test('values that JSON cannot hold do not make logging throw', () => {
  const { lines, logger } = recorder('info', false)
  const loop: Record<string, unknown> = {}
  loop['self'] = loop
  logger.info('odd', { big: 2n ** 64n, loop, nothing: undefined, call: () => 1, sign: Symbol('s') })
  assert.equal(JSON.parse(lines[0]!).big, '18446744073709551616')
})

test('on a terminal a line is readable, and a stack keeps its lines', () => {
  const { lines, logger } = recorder('info', true)
  logger.info('segment rolled', { topic: 'orders' })
  logger.error('failed', { error: new Error('why') })
  const plain = lines.map(line => line.replace(COLOUR, ''))
  assert.match(plain[0]!, /^\[\d\d:\d\d:\d\d\.\d{3}\] INFO: segment rolled \{"topic":"orders"\}\n$/)
  assert.match(plain[1]!, /ERROR: failed.*Error: why\n +at /s)
})

test('control characters that a client chose do not reach a terminal', () => {
  const { lines, logger } = recorder('info', true)
  const evil = 'a\u001b]0;title\u0007\u009b31m\r\u007f'
  logger.info('connected', { clientId: evil, error: new Error(evil), nested: { evil } })
  const text = lines.join('')
  assert.doesNotMatch(text.replace(COLOUR, ''), /[^\P{Cc}\n]/u)
  assert.match(text, /a\\x1b\]0;title\\x07\\x9b31m\\x0d\\x7f/)
})

test('without a stream the lines go to standard output, and the last one before the end is there', () => {
  const script = `import { createLogger } from ${JSON.stringify(MODULE)}
    const logger = createLogger({ level: 'info' })
    for (let i = 0; i < 2000; i++) logger.info('line', { i })
    process.kill(process.pid, 'SIGKILL')`
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', script])
  const lines = child.stdout.toString().trimEnd().split('\n')
  assert.equal(child.signal, 'SIGKILL')
  assert.equal(lines.length, 2000)
  assert.equal(JSON.parse(lines.at(-1)!).i, 1999)
})

test('a reader of standard output that went away does not end the process', async () => {
  const script = `import { createLogger } from ${JSON.stringify(MODULE)}
    const logger = createLogger({ level: 'info' })
    process.stdin.once('data', () => {
      for (let i = 0; i < 100; i++) logger.info('line', { i })
      process.stdin.once('data', () => process.exit(7))
      process.stderr.write('still here')
    })
    logger.info('started')`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script])
  await once(child.stdout, 'data')
  child.stdout.destroy()
  await once(child.stdout, 'close')
  child.stdin.write('go')
  const [said] = await once(child.stderr, 'data')
  assert.equal(String(said), 'still here')
  child.stdin.write('end')
  const [code] = await once(child, 'exit')
  assert.equal(code, 7)
})

const FULL = '/dev/full'
const hasNoFull = existsSync(FULL) ? false : `there is no ${FULL} here`

test('a log on a full disk does not end the process', { skip: hasNoFull }, () => {
  const script = `import { createLogger } from ${JSON.stringify(MODULE)}
    const logger = createLogger({ level: 'info' })
    const pad = 'x'.repeat(1000)
    for (let i = 0; i < 5000; i++) logger.info('line', { i, pad })
    setImmediate(() => {
      logger.warn('still here')
      process.exit(process.memoryUsage().rss < 200e6 ? 7 : 8)
    })`
  const full = openSync(FULL, 'w')
  const stdio = ['ignore', full, 'inherit'] as const
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    stdio: [...stdio],
  })
  closeSync(full)
  assert.equal(child.status, 7)
})

test('when there is room again the lines go on where they stopped, and it is told how many are lost', () => {
  const script = `import fs from 'node:fs'
    import { createLogger } from ${JSON.stringify(MODULE)}
    const real = fs.writeSync
    let room = 150
    fs.writeSync = (fd, data) => {
      const bytes = Buffer.from(data).subarray(0, room)
      if (bytes.length === 0) throw Object.assign(new Error('full'), { code: 'ENOSPC' })
      room -= bytes.length
      return real(fd, bytes)
    }
    const logger = createLogger({ level: 'info' })
    const pad = 'x'.repeat(1000)
    for (let i = 0; i < 2000; i++) logger.info('line', { i, pad })
    room = Infinity
    logger.info('again', { pad: pad.repeat(3) })
    setImmediate(() => logger.info('last'))`
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', script])
  const lines = child.stdout.toString().trimEnd().split('\n')
  assert.equal(child.status, 0, child.stderr.toString())
  const events = lines.map(line => JSON.parse(line))
  const kept = events.filter(({ event }) => event === 'line')
  assert.deepEqual(
    kept.map(({ i }) => i),
    kept.map((_, at) => at),
  )
  const told = events.find(({ event }) => event.startsWith('log lines lost'))
  assert.equal(told.lines, 2000 - kept.length + 1 - events.filter(e => e.event === 'again').length)
  assert.equal(events.at(-1).event, 'last')
})

test('the formatter for terminals is not loaded elsewhere', () => {
  const script = `import { createRequire } from 'node:module'
    import { createLogger } from ${JSON.stringify(MODULE)}
    createLogger({ level: 'info' }).info('line')
    const loaded = Object.keys(createRequire(${JSON.stringify(MODULE)}).cache)
    process.exit(loaded.some(file => file.includes('pino-pretty')) ? 1 : 0)`
  assert.equal(spawnSync(process.execPath, ['--input-type=module', '-e', script]).status, 0)
})
