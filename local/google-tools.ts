import { bucketsOf } from '../functions/mirror/names.ts';
import type { Stack } from './stack.ts';

/** What Google's own tools have to know of a stack. */
export type ToolEndpoints = Pick<Stack, 'bigquery' | 'storage' | 'pubsubRest' | 'storageTls'> & { project: string };

/** Lines for a shell, one per tool, each to be pasted as it is. `view`, such as `commons.members`, exists. */
export function googleToolLines(endpoints: ToolEndpoints, view: string | undefined): string[] {
  const { bq, gcloud, gsutil } = toolCommands(endpoints);
  const chunks = `'gs://${bucketsOf(endpoints.project).data}/chunks/**'`;
  return [
    `${bq} ${view === undefined ? 'ls' : `query --nouse_legacy_sql ${quoted(`SELECT COUNT(*) AS n FROM \`${view}\``)}`}`,
    `${gcloud} pubsub subscriptions list --format='value(name, topic)'`,
    `${gcloud} storage ls --long ${chunks}`,
    ...(gsutil === undefined ? [] : [`${gsutil} ls -l ${chunks}`]),
  ];
}

/**
 * Each tool as a shell's command, to be followed by what it is to do. Neither the account that a tool is logged in with nor
 * its settings play a part, so nobody's token is sent. There is no `gsutil` where Cloud Storage has no https here.
 */
export function toolCommands({ project, bigquery, storage, pubsubRest, storageTls }: ToolEndpoints): {
  bq: string;
  gcloud: string;
  gsutil: string | undefined;
} {
  const bq = [
    'bq',
    `--api=${bigquery}`,
    // It cannot send none; having this one, it does not look for a real one.
    '--oauth_access_token=none',
    `--project_id=${project}`,
    '--headless',
  ];
  const gcloud = [
    'CLOUDSDK_AUTH_DISABLE_CREDENTIALS=true',
    `CLOUDSDK_CORE_PROJECT=${project}`,
    `CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB=${pubsubRest}/`,
    `CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE=${storage}/storage/v1/`,
    'gcloud',
  ];
  const gsutil = storageTls && [
    // A token may be in its own file of settings, or come from gcloud.
    'BOTO_CONFIG=/dev/null',
    'CLOUDSDK_AUTH_DISABLE_CREDENTIALS=true',
    'gsutil',
    '-o Credentials:gs_json_host=127.0.0.1',
    `-o Credentials:gs_json_port=${storageTls.port}`,
    `-o ${quoted(`Boto:ca_certificates_file=${storageTls.authority}`)}`,
    `-o GSUtil:default_project_id=${project}`,
  ];
  return { bq: bq.join(' '), gcloud: gcloud.join(' '), gsutil: gsutil?.join(' ') };
}

/** One word of a POSIX shell. */
function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/u.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
