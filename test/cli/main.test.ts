/** The command line as a whole: help, wrong usage, exit codes, `ottla broker` options, and bin/ottla itself. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { RunBrokerOptions } from '../../broker/main.ts'
import { runCli } from '../../cli/main.ts'

interface Run {
  readonly code: number
  readonly out: string
  readonly err: string
  readonly ran: readonly RunBrokerOptions[]
}

async function run(...args: string[]): Promise<Run> {
  let [out, err] = ['', '']
  const ran: RunBrokerOptions[] = []
  const code = await runCli(args, {
    terminal: {
      out: text => {
        out += text
      },
      err: text => {
        err += text
      },
      isInteractive: false,
      ask: () => Promise.reject(new Error('nobody is there')),
      lines: () => assert.fail('nothing is read here'),
    },
    openAdmin: () => Promise.reject(new Error('no client here')),
    openClient: () => Promise.reject(new Error('no client here')),
    runBroker: async options => void ran.push(options),
    printConfig: async options => {
      ran.push(options)
      out += 'config'
    },
  })
  return { code, out, err, ran }
}

test('broker options reach the broker as they were given', async () => {
  const { code, ran } = await run(
    ...['broker', 'a.properties', '--override', 'a=b', '--override', 'c=', '--port', '0'],
    ...['--data-dir', 'd', '--verbose'],
  )
  assert.equal(code, 0)
  assert.deepEqual(ran, [
    {
      file: 'a.properties',
      overrides: ['a=b', 'c='],
      port: 0,
      dataDir: 'd',
      logLevel: 'debug',
    },
  ])
  assert.deepEqual((await run('broker')).ran, [{ overrides: [] }])
})

test('--print-config prints instead of running', async () => {
  const { code, out, ran } = await run('broker', '--print-config', '--override', 'a=b')
  assert.deepEqual([code, out, ran], [0, 'config', [{ overrides: ['a=b'] }]])
})

test('help goes to the output and says the exit codes', async () => {
  for (const args of [['--help'], ['broker', '--help'], ['topic', 'create', '--help']]) {
    const { code, out, err } = await run(...args)
    assert.deepEqual([code, err], [0, ''])
    assert.match(out, /Exit codes:\n {2}0 {2}done/)
  }
})

test('wrong usage is exit code 2 and one line on the error output', async () => {
  for (const [args, expected] of [
    [['topc'], /unknown command 'topc'/],
    [['topic', 'foo'], /unknown command 'foo'/],
    [['topic', 'create'], /missing required argument 'name'/],
    [['topic', 'list', '--what'], /unknown option '--what'/],
    [['topic', 'create', 'a', '--partitions', '0'], /whole number of at least 1/],
    [['topic', 'create', 'a', '--config', '=x'], /key=value/],
    [['topic', 'alter', 'a'], /nothing to alter/],
    [['broker', '--port', '65536'], /port, 0 to 65535/],
  ] as const) {
    const { code, out, err } = await run(...args)
    assert.deepEqual([code, out], [2, ''], args.join(' '))
    assert.match(err, expected)
    assert.match(err, /^ottla: /)
  }
  const nothing = await run()
  assert.equal(nothing.code, 2)
  assert.match(nothing.err, /Usage: ottla/)
})

test('a fault of ours is one line; where it comes from only with --verbose', async () => {
  const short = await run('topic', 'list')
  assert.deepEqual([short.code, short.err], [1, 'ottla: no client here (--verbose shows where)\n'])
  const long = await run('topic', 'list', '--verbose')
  assert.match(long.err, /\n\s+at /)
})

test('bin/ottla says what to do when it is not built, when a package is missing, and on an old Node', () => {
  const root = mkdtempSync(join(tmpdir(), 'ottla-bin-'))
  try {
    mkdirSync(join(root, 'bin'))
    cpSync('bin/ottla', join(root, 'bin', 'ottla'))
    writeFileSync(join(root, 'package.json'), '{"type":"module"}')
    const start = (...nodeArgs: string[]) =>
      spawnSync(process.execPath, [...nodeArgs, join(root, 'bin', 'ottla')], { encoding: 'utf8' })
    const unbuilt = start()
    assert.deepEqual([unbuilt.status, unbuilt.stdout], [2, ''])
    assert.match(unbuilt.stderr, /^ottla: it is not built yet: run 'npm ci'.*\n$/)

    mkdirSync(join(root, 'dist', 'bundle'), { recursive: true })
    writeFileSync(join(root, 'dist', 'bundle', 'main.js'), "import 'no-such-package'\n")
    const missing = start()
    assert.equal(missing.status, 2)
    assert.match(missing.stderr, /^ottla: a package is missing: run 'npm ci'.*no-such-package/)

    writeFileSync(
      join(root, 'old.cjs'),
      "Object.defineProperty(process.versions, 'node', {value: '20.18.9'})",
    )
    const old = start('--require', join(root, 'old.cjs'))
    assert.equal(old.status, 2)
    assert.match(old.stderr, /^ottla: Node 20\.18\.9 is too old: install Node 20\.19 or newer\.\n$/)
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
})
