/* standalone.c: runs a fuzz target with the inputs that the arguments name
 *
 * It takes the place of libFuzzer, with any compiler. Each argument is a file or a directory of
 * files.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static int n_inputs;

static void
run_file (const char *path)
{
  FILE *file = fopen (path, "rb");
  struct stat st;
  uint8_t *data;

  fuzz_check (file != NULL && fstat (fileno (file), &st) == 0);
  /* The memory has exactly that size, so that a sanitizer notices a read past the end. */
  data = malloc (st.st_size > 0 ? st.st_size : 1);
  fuzz_check (data != NULL && fread (data, 1, st.st_size, file) == (size_t) st.st_size);
  fclose (file);

  fprintf (stderr, "%s\n", path);
  LLVMFuzzerTestOneInput (data, st.st_size);
  free (data);
  n_inputs++;
}

static void
run_path (const char *path)
{
  struct dirent **entries;
  int n = scandir (path, &entries, NULL, alphasort);

  if (n < 0)
    {
      run_file (path);
      return;
    }

  for (int i = 0; i < n; i++)
    {
      char *inside = NULL;

      if (entries[i]->d_name[0] != '.' && asprintf (&inside, "%s/%s", path, entries[i]->d_name) > 0)
        run_path (inside);
      free (inside);
      free (entries[i]);
    }
  free (entries);
}

int
main (int    argc,
      char **argv)
{
  for (int i = 1; i < argc; i++)
    run_path (argv[i]);

  printf ("%d inputs\n", n_inputs);
  return n_inputs > 0 ? 0 : 1;
}
