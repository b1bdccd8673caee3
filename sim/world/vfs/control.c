/* SQL functions on the control connection: how the world steers its disks. */
#include "disk.h"
#include <stdlib.h>
#include <string.h>

SQLITE_EXTENSION_INIT1


static sqlite3_stmt *firedStatement = 0;

/* Calls what the world registered as tillway_vfs_fired, while the failing call is still on the stack. */
void diskFired(Volume *volume) {
  if (!firedStatement) return;
  sqlite3_bind_int(firedStatement, 1, volume->id);
  sqlite3_step(firedStatement);
  sqlite3_reset(firedStatement);
}

static Volume *volumeArgument(sqlite3_context *context, sqlite3_value *value) {
  Volume *volume = volumeById(sqlite3_value_int(value));
  if (!volume) sqlite3_result_error(context, "no such volume", -1);
  return volume;
}

static void answer(sqlite3_context *context, int rc) {
  if (rc) sqlite3_result_error_code(context, rc);
  else sqlite3_result_int(context, 1);
}

/* tillway_vfs_volume(folder) -> id */
static void volumeFunction(sqlite3_context *context, int count, sqlite3_value **values) {
  (void)count;
  const char *folder = (const char *)sqlite3_value_text(values[0]);
  Volume *volume = folder ? volumeAdd(folder) : 0;
  if (!volume) sqlite3_result_error_nomem(context);
  else sqlite3_result_int(context, volume->id);
}

/* tillway_vfs_drop(id): the volume and all it holds are gone; handles that are still open are dead */
static void dropFunction(sqlite3_context *context, int count, sqlite3_value **values) {
  (void)count;
  Volume *volume = volumeArgument(context, values[0]);
  if (volume) volumeDrop(volume);
}

/* tillway_vfs_faults(id, seed, crashAtCall, crashAtChange, bytesMax, 4 x perMillion, 4 x countdown) replaces all */
static void faultsFunction(sqlite3_context *context, int count, sqlite3_value **values) {
  (void)count;
  Volume *volume = volumeArgument(context, values[0]);
  if (!volume) return;
  Faults *faults = &volume->faults;
  chanceSeed(&volume->chance, (u64)sqlite3_value_int64(values[1]));
  faults->crashAtCall = sqlite3_value_int64(values[2]);
  faults->crashAtChange = sqlite3_value_int64(values[3]);
  faults->bytesMax = sqlite3_value_int64(values[4]);
  for (int kind = 0; kind < FAULT_KINDS; kind += 1) {
    faults->perMillion[kind] = sqlite3_value_int64(values[5 + kind]);
    faults->countdown[kind] = sqlite3_value_int64(values[5 + FAULT_KINDS + kind]);
  }
}

/* tillway_vfs_crash(id, seed, kind): 0 is a power cut, 1 the end of the process alone; the volume stays off */
static void crashFunction(sqlite3_context *context, int count, sqlite3_value **values) {
  (void)count;
  Volume *volume = volumeArgument(context, values[0]);
  if (!volume) return;
  u64 seed = (u64)sqlite3_value_int64(values[1]);
  answer(context, volumeCrash(volume, seed, sqlite3_value_int(values[2]) ? CRASH_PROCESS : CRASH_POWER));
}

/* tillway_vfs_power(id): the volume can be opened again */
static void powerFunction(sqlite3_context *context, int count, sqlite3_value **values) {
  (void)count;
  Volume *volume = volumeArgument(context, values[0]);
  if (volume) volumePower(volume);
}

static void wipeFunction(sqlite3_context *context, int count, sqlite3_value **values) {
  (void)count;
  Volume *volume = volumeArgument(context, values[0]);
  if (volume) volumeWipe(volume);
}

static void syncNamesFunction(sqlite3_context *context, int count, sqlite3_value **values) {
  (void)count;
  Volume *volume = volumeArgument(context, values[0]);
  if (volume) volumeSyncNames(volume);
}

static void snapshotFunction(sqlite3_context *context, int count, sqlite3_value **values) {
  (void)count;
  Volume *volume = volumeArgument(context, values[0]);
  if (volume) answer(context, volumeSnapshot(volume, (const char *)sqlite3_value_text(values[1])));
}

/* tillway_vfs_restore(id, name, source): all handles are dead, the files are those of the source's snapshot */
static void restoreFunction(sqlite3_context *context, int count, sqlite3_value **values) {
  (void)count;
  Volume *volume = volumeArgument(context, values[0]);
  Volume *source = volumeArgument(context, values[2]);
  if (!volume || !source) return;
  int rc = volumeRestore(volume, source, (const char *)sqlite3_value_text(values[1]));
  if (rc == SQLITE_NOTFOUND) sqlite3_result_error(context, "no such snapshot", -1);
  else answer(context, rc);
}

static void forgetFunction(sqlite3_context *context, int count, sqlite3_value **values) {
  (void)count;
  Volume *volume = volumeArgument(context, values[0]);
  if (volume) volumeForget(volume, (const char *)sqlite3_value_text(values[1]));
}

static void statsFunction(sqlite3_context *context, int count, sqlite3_value **values) {
  (void)count;
  Volume *volume = volumeArgument(context, values[0]);
  if (!volume) return;
  Stats *stats = &volume->stats;
  const struct { const char *name; i64 value; } fields[] = {
    {"powered", volume->powered}, {"fired", volume->fired}, {"usedBytes", volume->used},
    {"calls", stats->calls}, {"changes", stats->changes}, {"reads", stats->reads}, {"writes", stats->writes},
    {"syncs", stats->syncs}, {"cuts", stats->cuts}, {"deletions", stats->deletions}, {"creations", stats->creations},
    {"bytesWritten", stats->bytesWritten}, {"crashes", stats->crashes}, {"firedCrashes", stats->firedCrashes},
    {"processKills", stats->processKills}, {"restores", stats->restores}, {"keptChanges", stats->keptChanges},
    {"droppedChanges", stats->droppedChanges}, {"tornChanges", stats->tornChanges}, {"keptNames", stats->keptNames},
    {"droppedNames", stats->droppedNames}, {"readErrors", stats->readErrors}, {"writeErrors", stats->writeErrors},
    {"shortWrites", stats->shortWrites}, {"full", stats->full}, {"syncErrorsPersisted", stats->syncErrorsPersisted},
    {"syncErrorsPending", stats->syncErrorsPending}, {"syncErrorsForgotten", stats->syncErrorsForgotten},
  };
  sqlite3_str *text = sqlite3_str_new(0);
  for (size_t at = 0; at < sizeof fields / sizeof fields[0]; at += 1) {
    sqlite3_str_appendf(text, "%s\"%s\":%lld", at ? "," : "{", fields[at].name, fields[at].value);
  }
  sqlite3_str_appendall(text, "}");
  sqlite3_result_text(context, sqlite3_str_finish(text), -1, sqlite3_free);
}

static Inode *inodeArgument(sqlite3_context *context, sqlite3_value *value) {
  const char *path = (const char *)sqlite3_value_text(value);
  Volume *volume = volumeOfPath(path);
  Entry *entry = volume ? volumeEntry(volume, path, 0) : 0;
  if (entry && entry->current) return entry->current;
  sqlite3_result_error(context, "no such file on a volume", -1);
  return 0;
}

/* tillway_vfs_bytes(path, 0|1): as a reader sees it, or what is on the platter */
static void bytesFunction(sqlite3_context *context, int count, sqlite3_value **values) {
  (void)count;
  Inode *inode = inodeArgument(context, values[0]);
  if (!inode) return;
  Image *image = sqlite3_value_int(values[1]) ? &inode->durable : &inode->volatile_;
  sqlite3_result_blob64(context, image->size ? (const void *)image->data : "", (u64)image->size, SQLITE_TRANSIENT);
}

/* tillway_vfs_files(id) -> one line each: name, size, size on the platter, changes not synced */
static void filesFunction(sqlite3_context *context, int count, sqlite3_value **values) {
  (void)count;
  Volume *volume = volumeArgument(context, values[0]);
  if (!volume) return;
  sqlite3_str *text = sqlite3_str_new(0);
  for (Entry *entry = volume->entries; entry; entry = entry->next) {
    Inode *inode = entry->current;
    if (!inode) continue;
    sqlite3_str_appendf(text, "%s\t%lld\t%lld\t%d\n", entry->name, inode->volatile_.size,
                        entry->durable == inode ? inode->durable.size : (i64)-1, inode->changeCount);
  }
  char *lines = sqlite3_str_finish(text);
  sqlite3_result_text(context, lines ? lines : "", -1, lines ? sqlite3_free : SQLITE_STATIC);
}

/* tillway_vfs_corrupt(path, offset, xor): one byte rots, on the platter and in the cache */
static void corruptFunction(sqlite3_context *context, int count, sqlite3_value **values) {
  (void)count;
  Inode *inode = inodeArgument(context, values[0]);
  if (!inode) return;
  i64 offset = sqlite3_value_int64(values[1]);
  unsigned char mask = (unsigned char)sqlite3_value_int(values[2]);
  if (offset < 0 || offset >= inode->volatile_.size) {
    sqlite3_result_error(context, "beyond the end of the file", -1);
    return;
  }
  inode->volatile_.data[offset] ^= mask;
  if (offset < inode->durable.size) inode->durable.data[offset] ^= mask;
}

/* tillway_vfs_seed(n): what SQLite itself draws from */
static void seedFunction(sqlite3_context *context, int count, sqlite3_value **values) {
  (void)context;
  (void)count;
  vfsSeed((u64)sqlite3_value_int64(values[0]));
}

/* tillway_vfs_default(0|1): whether files opened from now on can be on a volume */
static void defaultFunction(sqlite3_context *context, int count, sqlite3_value **values) {
  (void)count;
  answer(context, vfsRegister(sqlite3_value_int(values[0]) != 0));
}

/* tillway_vfs_memory() -> bytes held, space, handles open */
static void memoryFunction(sqlite3_context *context, int count, sqlite3_value **values) {
  (void)count;
  (void)values;
  sqlite3_result_text(context, sqlite3_mprintf("%lld %lld", diskMemory, diskHandles), -1, sqlite3_free);
}

/* tillway_vfs_listen(): from now on tillway_vfs_fired(id) of this connection is called when a crash point is reached */
static void listenFunction(sqlite3_context *context, int count, sqlite3_value **values) {
  (void)count;
  (void)values;
  sqlite3 *db = sqlite3_context_db_handle(context);
  if (firedStatement) sqlite3_finalize(firedStatement);
  firedStatement = 0;
  int rc = sqlite3_prepare_v3(db, "SELECT tillway_vfs_fired(?1)", -1, SQLITE_PREPARE_PERSISTENT, &firedStatement, 0);
  if (rc) sqlite3_result_error(context, sqlite3_errmsg(db), -1);
}

int controlRegister(sqlite3 *db) {
  static const struct {
    const char *name;
    int arguments;
    void (*function)(sqlite3_context *, int, sqlite3_value **);
  } functions[] = {
    {"tillway_vfs_volume", 1, volumeFunction},     {"tillway_vfs_drop", 1, dropFunction},
    {"tillway_vfs_faults", 5 + 2 * FAULT_KINDS, faultsFunction},
    {"tillway_vfs_crash", 3, crashFunction},       {"tillway_vfs_power", 1, powerFunction},
    {"tillway_vfs_wipe", 1, wipeFunction},         {"tillway_vfs_sync_names", 1, syncNamesFunction},
    {"tillway_vfs_snapshot", 2, snapshotFunction}, {"tillway_vfs_restore", 3, restoreFunction},
    {"tillway_vfs_forget", 2, forgetFunction},     {"tillway_vfs_stats", 1, statsFunction},
    {"tillway_vfs_bytes", 2, bytesFunction},       {"tillway_vfs_files", 1, filesFunction},
    {"tillway_vfs_corrupt", 3, corruptFunction},   {"tillway_vfs_seed", 1, seedFunction},
    {"tillway_vfs_default", 1, defaultFunction},   {"tillway_vfs_memory", 0, memoryFunction},
    {"tillway_vfs_listen", 0, listenFunction},
  };
  for (size_t at = 0; at < sizeof functions / sizeof functions[0]; at += 1) {
    int rc = sqlite3_create_function(db, functions[at].name, functions[at].arguments, SQLITE_UTF8, 0,
                                     functions[at].function, 0, 0);
    if (rc) return rc;
  }
  return SQLITE_OK;
}

int sqlite3_extension_init(sqlite3 *db, char **error, const sqlite3_api_routines *api) {
  SQLITE_EXTENSION_INIT2(api);
  int rc = controlRegister(db);
  if (!rc) rc = vfsRegister(1);
  if (rc) {
    *error = sqlite3_mprintf("the simulated disk cannot be registered: %s", sqlite3_errstr(rc));
    return rc;
  }
  return SQLITE_OK_LOAD_PERMANENTLY;
}
