# A flex template is an image and a list of parameters, in a bucket. Each parameter is an option of
# the verb; the image's launcher turns it into `--option=value`.

locals {
  # Written apart from here are `verb` and what the workflow always gives.
  template_parameters = {
    prepare = {
      corpus              = "Manifest gs://…, or the name of a published corpus"
      corpus_path         = "Where the published corpus lies, gs://…"
      output              = "Folder to write to, gs://…"
      languages           = "Languages of the corpus to read"
      splits              = "Splits of the corpus to read"
      min_score           = "Pairs of wikimatrix with a lower score are left out"
      also                = "Further corpora, wikimatrix=gs://…"
      train_languages     = "Train on the speech of these only"
      speeds              = "Copies of training recordings, 0.9,1.1"
      held_out            = "Prepared folders whose dev and test text is set aside"
      audio_root          = "Where the audio paths of the manifest start"
      speech_encoder      = "Speech encoder and layer, whisper_base@4"
      speech_precision    = "What the speech encoder computes in"
      accelerator         = "GPU of the speech encoder's step, nvidia-l4"
      model_copies        = "Copies of the encoder on a worker machine"
      codebook            = "Reuse the codebook in this folder"
      codebook_size       = "Audio tokens"
      codebook_utterances = "Recordings sampled for the codebook"
      codebook_frames     = "Frames kept of that sample"
      shards              = "Units of work"
      max_seconds         = "Longer recordings are rejected"
      max_rejects         = "Fail if a larger share is rejected"
      seed                = "Seeds the sample and k-means"
      only_rejects        = "Prepare only what this folder rejected"
      limit               = "Read only so many rows"
    }
    translate = {
      data                    = "Folder written by prepare, gs://…"
      output                  = "Folder to write to, gs://…"
      engine                  = "ctranslate2:gs://… or keras_hub:gs://…"
      into                    = "Languages to translate into"
      languages               = "Languages to translate from"
      splits                  = "Splits to translate"
      tasks                   = "translation, bitext or both"
      prompt                  = "What keras_hub is asked, a file gs://…"
      batch_size              = "Texts translated together"
      max_tokens              = "Longer translations are rejected"
      beam_size               = "Hypotheses of ctranslate2"
      precision               = "What keras_hub computes in"
      cache                   = "Where translations are kept, gs://…"
      max_characters          = "Longer texts are rejected"
      max_length_ratio        = "Sides more unequal are rejected"
      min_language_confidence = "Less like the target language is rejected"
      min_score               = "Lower scores are rejected"
      max_rejects             = "Fail if a larger share is rejected"
      accelerator             = "GPU of the step that translates"
      limit                   = "Translate only so many recordings"
    }
    build = {
      model         = "Folder of the preset, gs://…"
      data          = "Folder written by prepare, gs://…"
      output        = "Folder to write to, gs://…"
      splits        = "Splits to index"
      modalities    = "Modalities to index"
      speeds        = "Hear recordings at these speeds too, 0.9,1.1"
      cache         = "Where the audio tokens of these are kept, gs://…"
      engine        = "How index shards are searched"
      shard_rows    = "A language with more rows is split"
      exact_below   = "Shards with fewer rows are searched exactly"
      tree_from     = "Shards with so many rows get a tree"
      leaves        = "Leaves of a tree"
      reorder       = "What candidates are compared by"
      dims          = "Leading dimensions to hash"
      target_recall = "Recall that bigger shards are tuned for"
      limit         = "Read only so many pairs"
    }
    evaluate = {
      index     = "Folder written by build, gs://…"
      data      = "Folder written by prepare, gs://…"
      run       = "Folder written by training, gs://…"
      output    = "Folder to write to, gs://…"
      split     = "Split of the queries"
      languages = "Score only these languages"
      limit     = "Only so many queries a language"
      examples  = "Hits and misses shown of each language"
    }
  }
  template_required = {
    prepare   = ["corpus", "output"]
    translate = ["data", "output", "engine"]
    build     = ["model", "data", "output"]
    evaluate  = ["index", "data", "output"]
  }
}

resource "google_storage_bucket_object" "template" {
  for_each = local.template_parameters

  bucket       = google_storage_bucket.this["staging"].name
  name         = "templates/${each.key}.json"
  content_type = "application/json"

  content = jsonencode({
    image   = local.images.worker
    sdkInfo = { language = "PYTHON" }
    metadata = {
      name        = "${var.name}-${each.key}"
      description = "One Beam pipeline of the verb ${each.key}: the next that its output lacks"
      parameters = concat(
        [{
          name       = "verb"
          label      = "Verb"
          helpText   = "The verb to run; always ${each.key}"
          isOptional = false
          regexes    = ["^${each.key}$"]
        }],
        [for name, help in each.value : {
          name       = name
          label      = name
          helpText   = help
          isOptional = !contains(local.template_required[each.key], name)
        }],
      )
    }
  })
}
