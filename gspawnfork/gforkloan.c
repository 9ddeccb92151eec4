/* gforkloan.c: a worker on loan from a pool
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "pool/pool.h"

/**
 * GForkLoan:
 *
 * A worker on loan from a [class@GFork.Pool]. Until the loan ends, nobody else uses the worker
 * or its socket.
 *
 * [method@GFork.Loan.release] gives the worker back when the conversation is complete and
 * another one can begin. [method@GFork.Loan.discard] ends the worker, for instance after an
 * error. Dropping the last reference does the same.
 *
 * ```c
 * g_autoptr (GForkLoan) loan = g_fork_pool_acquire (pool, NULL, &error);
 *
 * if (loan != NULL && talk (g_fork_loan_get_socket (loan), &error))
 *   g_fork_loan_release (loan);
 * ```
 *
 * The methods may be called from any thread.
 *
 * Since: 1.0
 */

struct _GForkLoan
{
  GObject parent_instance;

  GForkWorker *worker;
  GSocket *socket;
  GForkLease *lease; /* until it is given back */
};

G_DEFINE_FINAL_TYPE (GForkLoan, g_fork_loan, G_TYPE_OBJECT)

static void
end (GForkLoan *self,
     gboolean   is_good)
{
  GForkLease *lease = g_atomic_pointer_exchange (&self->lease, NULL);

  if (lease != NULL)
    g_fork_lease_end (lease, is_good);
}

static void
g_fork_loan_dispose (GObject *object)
{
  end (G_FORK_LOAN (object), FALSE);

  G_OBJECT_CLASS (g_fork_loan_parent_class)->dispose (object);
}

static void
g_fork_loan_finalize (GObject *object)
{
  GForkLoan *self = G_FORK_LOAN (object);

  g_object_unref (self->worker);
  g_object_unref (self->socket);

  G_OBJECT_CLASS (g_fork_loan_parent_class)->finalize (object);
}

static void
g_fork_loan_class_init (GForkLoanClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->dispose = g_fork_loan_dispose;
  object_class->finalize = g_fork_loan_finalize;
}

static void
g_fork_loan_init (GForkLoan *self)
{
}

/* Takes the lease. */
GForkLoan *
g_fork_loan_new (GForkLease *lease)
{
  GForkLoan *self = g_object_new (G_FORK_TYPE_LOAN, NULL);

  self->lease = lease;
  self->worker = g_object_ref (lease->member->worker);
  self->socket = g_object_ref (lease->socket);
  return self;
}

/**
 * g_fork_loan_get_worker:
 * @self: a loan
 *
 * Gets the worker that is on loan.
 *
 * Returns: (transfer none): the worker
 *
 * Since: 1.0
 */
GForkWorker *
g_fork_loan_get_worker (GForkLoan *self)
{
  g_return_val_if_fail (G_FORK_IS_LOAN (self), NULL);

  return self->worker;
}

/**
 * g_fork_loan_get_socket:
 * @self: a loan
 *
 * Gets the communication socket of the worker: a non-blocking Unix stream socket. It must not
 * be used after the loan has ended.
 *
 * Returns: (transfer none): the socket
 *
 * Since: 1.0
 */
GSocket *
g_fork_loan_get_socket (GForkLoan *self)
{
  g_return_val_if_fail (G_FORK_IS_LOAN (self), NULL);

  return self->socket;
}

/**
 * g_fork_loan_release:
 * @self: a loan
 *
 * Gives the worker back to the pool, which can lend it again. The worker is ended instead if
 * either end of its socket was closed, or if it has written something that was not read.
 *
 * Does nothing if the loan has ended before.
 *
 * Since: 1.0
 */
void
g_fork_loan_release (GForkLoan *self)
{
  g_return_if_fail (G_FORK_IS_LOAN (self));

  end (self, TRUE);
}

/**
 * g_fork_loan_discard:
 * @self: a loan
 *
 * Ends the worker in the same way as [method@GFork.Pool.stop]. The pool starts another one if
 * it needs one.
 *
 * Does nothing if the loan has ended before.
 *
 * Since: 1.0
 */
void
g_fork_loan_discard (GForkLoan *self)
{
  g_return_if_fail (G_FORK_IS_LOAN (self));

  end (self, FALSE);
}
