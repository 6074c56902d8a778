/** Files that the user names on the command line, as opposed to those of a data directory, which are behind `Disk`. */
import { createReadStream } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { UsageError } from './failure.ts'

/** The lines of a file, read as they are asked for. @throws UsageError if it cannot be read */
export async function* fileLines(path: string): AsyncGenerator<string> {
  const input = createReadStream(path)
  // What goes wrong in the stream has to reach whoever waits for a line.
  const failed = new Promise<never>((_, reject) => input.once('error', reject))
  failed.catch(() => {})
  const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })
  const source = lines[Symbol.asyncIterator]()
  try {
    for (;;) {
      const next = await Promise.race([source.next(), failed])
      if (next.done === true) return
      yield next.value
    }
  } catch (error) {
    throw cannot('read', path, error)
  } finally {
    lines.close()
    input.destroy()
  }
}

/** @throws UsageError if it cannot be read */
export async function fileBytes(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    throw cannot('read', path, error)
  }
}

/** @throws UsageError if it cannot be written */
export async function writeText(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text)
  } catch (error) {
    throw cannot('write', path, error)
  }
}

const REASONS: { readonly [code: string]: string } = {
  ENOENT: 'there is no such file',
  EACCES: 'it is not allowed',
  EISDIR: 'it is a directory',
}

function cannot(verb: string, path: string, error: unknown): Error {
  const { code = '', message } = error as NodeJS.ErrnoException
  if (code === '') return error as Error
  return new UsageError(`cannot ${verb} '${path}': ${REASONS[code] ?? message}.`)
}
