/** The export job in a process of its own; when the parent is gone, it stops as on Cloud Run: by SIGTERM. */
process.on('disconnect', () => {
  process.kill(process.pid, 'SIGTERM');
  setTimeout(() => process.exit(1), 10_000).unref();
});
// The channel to the parent must not keep a finished job alive.
process.channel?.unref();

await import('../functions/export/main.ts');
