locals {
  # raw: the corpus, read only. data: what Beam's verbs write. models: what training writes and
  # what it starts from. staging: templates, and what pipelines put down for a while.
  buckets = toset(["raw", "data", "models", "staging"])
}

resource "google_storage_bucket" "this" {
  #checkov:skip=CKV_GCP_62:access logs are a legacy of buckets with ACLs; Cloud Audit Logs tell who read what
  #checkov:skip=CKV_GCP_63:takes the absence of access logs for a bucket that logs to itself
  for_each = local.buckets

  name                        = "${var.project_id}-${var.name}-${each.key}"
  project                     = var.project_id
  location                    = var.region
  labels                      = merge(local.labels, { content = each.key })
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = var.buckets.force_destroy

  versioning {
    enabled = true
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      days_since_noncurrent_time = var.buckets.noncurrent_days
      with_state                 = "ARCHIVED"
    }
  }

  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }
    condition {
      age = var.buckets.temporary_days
    }
  }

  dynamic "lifecycle_rule" {
    for_each = each.key == "staging" ? ["temporary"] : []

    content {
      action {
        type = "Delete"
      }
      condition {
        age            = var.buckets.temporary_days
        matches_prefix = ["temp/", "staging/", "source/"]
      }
    }
  }

  dynamic "encryption" {
    for_each = var.kms_key == null ? [] : [var.kms_key]

    content {
      default_kms_key_name = encryption.value
    }
  }

  depends_on = [google_project_service.this, google_kms_crypto_key_iam_member.agents]
}
