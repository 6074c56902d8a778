/** A command of the command line, run in this process against real brokers: what it printed and its exit code. */
import assert from 'node:assert/strict'
import type { Terminal } from '../../cli/context.ts'
import { fileLines } from '../../cli/files.ts'
import { runCli } from '../../cli/main.ts'
import { Admin } from '../../client/admin.ts'
import { Client } from '../../client/client.ts'
import { Cluster } from '../../client/cluster.ts'
import { systemIo } from '../../protocol/system-io.ts'

export interface CliRun {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** `input` is standard input; `terminal` overrides what is there of one. */
export async function cli(
  args: readonly string[],
  input: readonly string[] = [],
  terminal: Partial<Terminal> = {},
): Promise<CliRun> {
  let [out, err] = ['', '']
  async function* lines(file?: string) {
    if (file === undefined) yield* input
    else yield* fileLines(file)
  }
  const code = await runCli(args, {
    terminal: {
      out: text => {
        out += text
      },
      err: text => {
        err += text
      },
      isInteractive: false,
      ask: () => assert.fail('nobody is asked'),
      lines,
      ...terminal,
    },
    openAdmin: async options => new Admin(new Cluster(systemIo(), options)),
    openClient: async options => new Client(options),
    runBroker: () => assert.fail('no broker is run'),
    printConfig: () => assert.fail('no settings are printed'),
  })
  return { code, out, err }
}
