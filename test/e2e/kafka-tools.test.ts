/**
 * Kafka's own tools, against Kafka and against Ottla: same output, same errors, same exit code.
 *
 * Method: both brokers start empty with the same settings; each command line of the table runs on both at the same
 * time, in one JVM a side; what depends on the moment or the place (ids, times, ports, directories) is replaced by a
 * name on both sides; then the texts must be equal. Where we mean to differ, the table says why and how.
 */

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import {
  missing,
  pause,
  startKafka,
  startOttla,
  subjectIsKafka,
  temporaryDirectory,
} from './harness.ts'
import { difference, normalise, type Side, ToolJvm } from './harness-tools.ts'
import { COMMANDS, type Command } from './kafka-tools-table.ts'

const files = temporaryDirectory('files')

function argumentsFor(command: Command, bootstrap: string): string[] {
  for (const [name, text] of Object.entries(command.files ?? {})) {
    writeFileSync(join(files, name), text)
  }
  const args = command.args.map(arg => (arg.startsWith('@') ? join(files, arg.slice(1)) : arg))
  const where = ['--bootstrap-server', bootstrap]
  // The cluster tool wants its verb first.
  return command.tool === 'cluster' ? [...args, ...where] : [...where, ...args]
}

function normalised(text: string, side: Side, command: Command): string {
  return normalise(text.replaceAll(files, '<files>'), side, command.blank)
}

async function answer(side: Side, command: Command): Promise<string> {
  const args = argumentsFor(command, side.server.bootstrap)
  const stdin = command.stdin === undefined ? {} : { stdin: command.stdin }
  const { code, stdout, stderr } = await side.tools.run(command.tool, args, {
    ...stdin,
    timeoutMs: 45_000,
  })
  const said = normalised(stdout.toString(), side, command)
  const complained = normalised(stderr, side, command)
  return `exit ${code}\n--- stdout\n${said}\n--- stderr\n${complained}`
}

/** Commands that change nothing, so that Kafka may be asked again. */
const READS = /--describe|--list|get-offsets|log-dirs|describe-producers/

function expectation(command: Command, kafka: string): string {
  if (command.differs === undefined || subjectIsKafka) return kafka
  return command.differs.expected(kafka)
}

const skip = missing('kafka')

describe("Kafka's tools get from Ottla what they get from Kafka", { skip, concurrency: 1 }, () => {
  let kafka: Side
  let ottla: Side

  before(async () => {
    const [one, two] = await Promise.all([startKafka(), startOttla()])
    kafka = { server: one, tools: new ToolJvm() }
    ottla = { server: two, tools: new ToolJvm() }
  })

  after(async () => {
    for (const side of [kafka, ottla]) side?.tools.close()
    await Promise.all([kafka?.server.stop(), ottla?.server.stop()])
  })

  for (const command of COMMANDS) {
    const file = Object.values(command.files ?? {})[0] ?? ''
    const name = `${command.tool} ${command.args.join(' ')} ${file.trim()}`.slice(0, 200)
    test(
      command.differs === undefined ? name : `${name} (${command.differs.because})`,
      async () => {
        const [theirs, ours] = await Promise.all([answer(kafka, command), answer(ottla, command)])
        let expected = expectation(command, theirs)
        // What was changed reaches Kafka's broker a moment after the answer to the change; ours may not lag.
        for (let again = 0; ours !== expected && again < 5 && READS.test(name); again++) {
          await pause(200)
          expected = expectation(command, await answer(kafka, command))
        }
        if (ours !== expected) {
          assert.equal(ours, expected, `differs from Kafka:\n${difference(expected, ours)}\n`)
        }
      },
    )
  }
})
