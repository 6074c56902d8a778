/** `ottla log` in this process, on directories that Kafka wrote and on damaged copies of them. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { runCli } from '../../cli/main.ts'
import { copyOfGoldenDirectory, GOLDEN } from '../segment-store/store-harness.ts'

const source = path.join(GOLDEN, 'data-dir')
const skip = !fs.existsSync(source) && 'no ../shared/kafka-protocol'

async function run(...args: string[]) {
  let [out, err] = ['', '']
  const fail = () => Promise.reject(new Error('not needed here'))
  const code = await runCli(['log', ...args], {
    terminal: {
      out: text => {
        out += text
      },
      err: text => {
        err += text
      },
      isInteractive: false,
      ask: fail,
      lines: () => assert.fail('not needed here'),
    },
    openAdmin: fail,
    openClient: fail,
    runBroker: fail,
    printConfig: fail,
  })
  return { code, out, err }
}

/** A copy that may be damaged; the tests run one after the other, so that nothing is left behind. */
async function withCopy(work: (directory: string) => Promise<void>): Promise<void> {
  const directory = copyOfGoldenDirectory()!
  try {
    await work(directory)
  } finally {
    fs.rmSync(directory, { recursive: true, force: true })
  }
}

function change(file: string, edit: (bytes: Buffer) => Buffer | undefined): void {
  const bytes = fs.readFileSync(file)
  fs.writeFileSync(file, edit(bytes) ?? bytes)
}

test("dump prints what Kafka's dump tool prints, to the letter", { skip }, async () => {
  for (const [name, flags] of [
    ['data-dir.dump.txt', ['--print-data-log']],
    ['data-dir.rolled.dump.txt', []],
  ] as const) {
    const [expected] = fs.readFileSync(path.join(GOLDEN, name), 'utf8').split('Non-consecutive')
    const files = [...expected!.matchAll(/^Dumping (.*)$/gm)].map(match => match[1]!)
    const paths = files.map(file => path.join(source, file))
    const { code, out } = await run('dump', ...flags, ...paths)
    assert.equal(code, 0)
    assert.equal(out.replaceAll(`${source}/`, ''), expected)
  }
})

test('dump takes a whole directory, and prints objects', { skip }, async () => {
  const { code, out } = await run('dump', '--json', '--deep', path.join(source, 'transactions-0'))
  assert.equal(code, 0)
  const items = out
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))
  const types = new Set(items.map(({ type }) => type))
  for (const type of ['log', 'batch', 'record', 'txnindex', 'producer', 'leaderEpoch', 'topicId'])
    assert(types.has(type), type)
  const markers = items.filter(item => item.endTxnMarker !== undefined)
  assert.deepEqual(
    markers.map(item => item.endTxnMarker),
    ['COMMIT', 'ABORT', 'COMMIT', 'ABORT'],
  )
  assert(items.every(item => item.payload === undefined && item.value === undefined))
  const all = await run('dump', '--json', source)
  assert.equal(all.code, 0)
  assert(all.out.includes('/zstd-0/'))
  const few = await run('dump', '--max-batches', '2', path.join(source, 'none-0'))
  assert.equal(few.out.match(/^baseOffset/gm)?.length, 2)
})

test('dump shows damage and goes on with the next file', { skip }, async () => {
  await withCopy(async directory => {
    const log = `${directory}/none-0/${'0'.repeat(20)}.log`
    change(log, bytes => bytes.subarray(0, bytes.length - 1))
    change(`${directory}/none-0/${'0'.repeat(18)}60.snapshot`, bytes => {
      bytes[8]! ^= 1
    })
    const { code, out, err } = await run('dump', `${directory}/none-0`)
    assert.equal(code, 1)
    assert.match(out, /Found damage at position 2947: batch cut short.*; 631 bytes not read/)
    assert.match(out, /snapshot.*\nFound damage at position 0: producer snapshot/)
    assert.match(out, /topic_id/)
    assert.match(err, /2 damaged/)
  })
})

test('dump spells out what could move the cursor of a terminal', { skip }, async () => {
  await withCopy(async directory => {
    const log = `${directory}/none-0/${'0'.repeat(20)}.log`
    change(log, bytes => {
      bytes[bytes.indexOf('value-1-')] = 0x1b
    })
    const { out } = await run('dump', '--print-data-log', '--max-batches', '1', log)
    assert.match(out, /isvalid: false/)
    assert.match(out, /payload: \\u001balue-1-/)
    assert(!out.includes('\u001b'))
  })
})

test('verify finds nothing in what Kafka closed, and says what it checked', { skip }, async () => {
  const { code, out } = await run('verify', source)
  assert.equal(code, 0)
  assert.match(
    out,
    /^7 logs, 10 segments, \d+ batches, \d+ records, \d+ bytes checked; problems: 0/,
  )
  const one = await run('verify', '--json', path.join(source, 'zstd-0'))
  assert.equal(one.code, 0)
  assert.deepEqual(JSON.parse(one.out).records, 60)
})

const first = '0'.repeat(20)
const DAMAGE: readonly {
  readonly what: string
  readonly file: string
  readonly edit: (bytes: Buffer) => Buffer | undefined
  readonly says: RegExp
}[] = [
  {
    what: 'a flipped bit in a value',
    file: `none-0/${first}.log`,
    edit: bytes => {
      bytes[700]! ^= 4
      return bytes
    },
    says: /none-0\/0{20}\.log at 604: checksum \d+ stored/,
  },
  {
    what: 'a flipped bit in a compressed batch',
    file: `zstd-0/${first}.log`,
    edit: bytes => {
      bytes[100]! ^= 4
      return bytes
    },
    says: /zstd-0\/0{20}\.log at 0: checksum/,
  },
  {
    what: 'an impossible header',
    file: `none-0/${first}.log`,
    edit: bytes => {
      bytes.writeInt32BE(5, 604 + 8)
      return bytes
    },
    says: /\.log at 604: batch length 5; the \d+ bytes from here on cannot be read/,
  },
  {
    what: 'a torn tail',
    file: `none-0/${first}.log`,
    edit: bytes => bytes.subarray(0, bytes.length - 10),
    says: /\.log at 2947: batch cut short/,
  },
  {
    what: 'an offset index of another log',
    file: `rolled-0/${first}.index`,
    edit: bytes => {
      bytes.writeInt32BE(bytes.readInt32BE(4) + 3, 4)
      return bytes
    },
    says: /\.index at 0: entry 0 says offset 3 at position 16088, where no batch begins/,
  },
  {
    what: 'an offset index that points past its log',
    file: `rolled-0/${first}.index`,
    edit: bytes => {
      bytes.writeInt32BE(0x7fffffff, bytes.length - 4)
      return bytes
    },
    says: /\.index at \d+: entry \d+ says position 2147483647, behind the last batch/,
  },
  {
    what: 'a time index that lies',
    file: `rolled-0/${first}.timeindex`,
    edit: bytes => {
      bytes.writeInt32BE(bytes.readInt32BE(4) + 1, 4)
      return bytes
    },
    says: /\.timeindex at 0: entry 0 says timestamp \d+ up to offset 3, where the log has/,
  },
  {
    what: 'a piece of an index entry',
    file: `rolled-0/${first}.timeindex`,
    edit: bytes => bytes.subarray(0, 17),
    says: /\.timeindex: entries that do not ascend, or a piece of one/,
  },
  {
    what: 'a snapshot with a flipped bit',
    file: `none-0/${'0'.repeat(18)}60.snapshot`,
    edit: bytes => {
      bytes[7]! ^= 1
      return bytes
    },
    says: /60\.snapshot: producer snapshot with a wrong checksum/,
  },
  {
    what: 'a piece of a transaction index',
    file: `transactions-0/${'0'.repeat(19)}5.txnindex`,
    edit: bytes => bytes.subarray(1),
    says: /\.txnindex: no transaction index of this segment/,
  },
  {
    what: 'an epoch file that cannot be read',
    file: 'none-0/leader-epoch-checkpoint',
    edit: () => Buffer.from('7\n'),
    says: /leader-epoch-checkpoint: checkpoint version '7'/,
  },
]

for (const { what, file, edit, says } of DAMAGE) {
  test(`verify finds ${what}, with file and position`, { skip }, async () => {
    await withCopy(async directory => {
      change(`${directory}/${file}`, edit)
      const { code, out, err } = await run('verify', '--quiet', directory)
      assert.equal(code, 1)
      assert.match(out, says)
      assert.match(out, /problems: 1\n$/)
      assert.match(err, /^ottla: problems were found: 1\n$/)
    })
  })
}

test('verify prints a problem as an object', { skip }, async () => {
  await withCopy(async directory => {
    const file = `${directory}/none-0/${first}.log`
    change(file, bytes => {
      bytes[700]! ^= 4
      return bytes
    })
    const { code, out } = await run('verify', '--json', `${directory}/none-0`)
    const [problem, summary] = out.split('\n').map(line => (line === '' ? null : JSON.parse(line)))
    assert.equal(code, 1)
    assert.deepEqual([problem.type, problem.file, problem.position], ['problem', file, 604])
    assert.deepEqual([summary.type, summary.batches, summary.problems], ['summary', 5, 1])
  })
})

test('verify says what it cannot look into', async () => {
  const nowhere = await run('verify', '/no/such/directory')
  assert.equal(nowhere.code, 2)
  assert.match(nowhere.err, /there is no log in \/no\/such\/directory/)
  assert.equal((await run('verify', '--no-such-option')).code, 2)
  assert.equal((await run('dump')).code, 2)
  assert.equal((await run('dump', '/no/such/00000000000000000000.log')).code, 2)
})
